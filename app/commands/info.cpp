#include "app/commands/info.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "app/commands/info_system.h"
#include "app/console.h"
#include "app/models.h"
#include "app/options.h"
#include "attention/attention.h"
#include "base/error.h"
#include "base/input_file.h"
#include "base/json_text.h"
#include "base/number_text.h"
#include "base/printable.h"
#include "base/readable_json.h"
#include "base/standard_streams.h"
#include "pipelines/checkpoint/checkpoint.h"
#include "pipelines/checkpoint/safetensors.h"
#include "pipelines/video/output.h"
#include "pipelines/video/reader.h"
#include "pipelines/video/sequence.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

std::string dtype_text(at::ScalarType dtype) {
  const std::string_view known = name_of(dtype);
  return known == "unknown" ? at::toString(dtype) : std::string(known);
}

// From files that somebody else made: in one line, and no more of it than a person would read.
std::string shown(std::string_view text) {
  constexpr std::size_t most_bytes = 400;
  if (text.size() <= most_bytes) return printable(text);
  return fmt::format("{}... ({} bytes)", printable(text.substr(0, most_bytes)), text.size());
}

// What stands beside each other in columns as wide as their longest text.
using Row = std::vector<std::string>;

std::string table(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    // The last of a row may be as long as it likes.
    for (std::size_t i = 0; i + 1 < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    text += "  ";
    for (std::size_t i = 0; i + 1 < row.size(); ++i) text += fmt::format("{:<{}}  ", row[i], widths[i]);
    text += row.back() + "\n";
  }
  return text;
}

// One component: its class, and what its weight files hold.
Row component_row(const Checkpoint& checkpoint, const Component& component) {
  Row row = {component.name, shown(checkpoint.component_class(component.name))};
  if (component.weights.empty()) return row;
  const Weights weights = checkpoint.weights(component.name);
  std::int64_t parameters = 0;
  std::size_t bytes = 0;
  std::set<std::string> dtypes;
  for (const std::string& tensor : weights.names()) {
    const TensorInfo& info = weights.info(tensor);
    bytes += info.end - info.begin;
    parameters += c10::multiply_integers(info.shape);
    dtypes.insert(dtype_text(info.dtype));
  }
  row.push_back(fmt::format("{} parameters, {}, {}, {} tensors in {} file(s)", parameters, fmt::join(dtypes, "+"),
                            bytes_text(static_cast<double>(bytes)), weights.names().size(), weights.files().size()));
  return row;
}

std::string_view name_of(Medium medium) {
  switch (medium) {
    case Medium::text:
      return "text";
    case Medium::image:
      return "picture";
    case Medium::video:
      return "video";
  }
  throw Error("there is no such medium");
}

Row mode_row(const Mode& mode) {
  std::string made;
  for (const Medium medium : mode.makes) made += fmt::format("{}{}", made.empty() ? "" : " + ", name_of(medium));
  return {fmt::format("  {}", mode.name), fmt::format("{} -> {}", mode.takes ? name_of(*mode.takes) : "nothing", made)};
}

std::string describe_checkpoint(const fs::path& folder) {
  const std::shared_ptr<Pipeline> model = open_pipeline(Checkpoint::open(folder), {});
  const Request request = model->default_request();
  const Cost cost = model->cost(request);
  std::vector<Row> components, rows;
  for (const Component& component : model->traits().components) {
    components.push_back(component_row(model->checkpoint(), component));
  }
  if (const std::vector<Mode>& modes = model->traits().modes; modes.size() > 1) {
    rows.push_back({"modes", "the first whose input is given is inferred"});
    for (const Mode& mode : modes) rows.push_back(mode_row(mode));
  }
  const bool makes_clips = request.num_frames > 0;
  rows.push_back({makes_clips ? "default clip" : "default size",
                  fmt::format("{}x{}, {}{} steps of {}, guidance {}", request.width, request.height,
                              makes_clips ? fmt::format("{} frames, ", request.num_frames) : "", request.steps,
                              name_of(request.scheduler), request.guidance_scale)});
  std::string size;
  for (const auto& [name, shape] : model->latent_shapes(request)) {
    size += fmt::format("{} {}, ", name, fmt::join(shape, " x "));
  }
  rows.push_back({"its size", size + tokens_text(cost)});
  rows.push_back({model->traits().denoiser, fmt::format("{} layers, {} heads of {}", cost.layers, cost.attention.heads,
                                                        cost.attention.head_dim)});
  return fmt::format("{}\n  {}\n{}{}", folder.string(), shown(model->checkpoint().pipeline_class()), table(components),
                     table(rows));
}

constexpr std::size_t most_json_bytes = std::size_t{64} << 10;

std::string indented(const nlohmann::ordered_json& json) {
  return printable_lines(readable_json(json, most_json_bytes));
}

// Only what Bitreel writes is called provenance; anything may stand in a comment.
std::string comment_text(const std::string& comment) {
  if (comment.empty()) return "  no provenance\n";
  const auto json = parse_json_if_any<nlohmann::ordered_json>(comment);
  return is_provenance(json) ? fmt::format("  provenance: {}", indented(json))
                             : fmt::format("  no provenance; the comment is: {}\n", shown(comment));
}

// Of latents that are not denoised to their end.
std::string progress_text(const std::map<std::string, std::string>& metadata) {
  const auto count = [&](const char* key) { return number_from<std::int64_t>(metadata.at(key)).value_or(-1); };
  const std::int64_t done = count("steps_done"), all = count("steps");
  if (done >= 1 && done < all) return fmt::format("  unfinished: {} of {} steps are denoised\n", done, all);
  return fmt::format("  damaged: it says that {} of {} steps are denoised\n", shown(metadata.at("steps_done")),
                     shown(metadata.at("steps")));
}

std::string metadata_text(const std::map<std::string, std::string>& metadata) {
  std::string text;
  const bool is_ours = metadata.contains("bitreel");
  const bool is_unfinished = is_ours && metadata.contains("steps_done") && metadata.contains("steps");
  if (is_unfinished) text += progress_text(metadata);
  for (const auto& [key, value] : metadata) {
    if (is_unfinished && (key == "steps_done" || key == "steps")) continue;
    const auto json = is_ours && (key == "config" || key == "attention" || key == "events")
                          ? parse_json_if_any<nlohmann::ordered_json>(value)
                          : nlohmann::ordered_json(nlohmann::ordered_json::value_t::discarded);
    text += fmt::format("  {}: {}", shown(key), json.is_discarded() ? shown(value) + "\n" : indented(json));
  }
  return text;
}

std::string describe_safetensors(const fs::path& path) {
  constexpr std::size_t most_tensors = 4096;
  const SafetensorsFile file = SafetensorsFile::open(path);
  std::string text = path.string() + "\n";
  std::size_t count = 0;
  for (const auto& [name, info] : file.tensors()) {
    if (++count > most_tensors) break;
    text += fmt::format("  {} {} [{}]\n", shown(name), dtype_text(info.dtype), fmt::join(info.shape, ", "));
  }
  if (count > most_tensors) text += fmt::format("  ... {} tensors in all\n", file.tensors().size());
  return text + metadata_text(file.metadata());
}

std::string describe_video(const fs::path& path) {
  const VideoInfo info = inspect_video(path);
  std::string text = fmt::format("{}\n  {} in {}, {}, {}x{}", path.string(), info.codec, info.container,
                                 info.pixel_format, info.width, info.height);
  if (info.frames) text += fmt::format(", {} frame{}", *info.frames, *info.frames == 1 ? "" : "s");
  if (info.fps > 0) text += fmt::format(" at {} fps", info.fps);
  text += fmt::format("\n  colours: primaries {}, transfer {}, matrix {}, range {}\n", info.colour_primaries,
                      info.colour_transfer, info.colour_space, info.colour_range);
  return text + comment_text(info.comment);
}

std::string describe_sidecar(const fs::path& path) {
  const auto json = parse_json<nlohmann::ordered_json>(read_file(path, {.expected = "a sidecar"}), path.string());
  if (!is_provenance(json)) {
    throw Error(fmt::format("{}: is JSON, but no sidecar of a clip", path.string()),
                "give a checkpoint folder, a video, its sidecar or a .safetensors file");
  }
  return fmt::format("{}\n  the sidecar of a clip: {}", path.string(), indented(json));
}

// One that holds a checkpoint, or pictures under the name that a clip's have.
std::string describe_folder(const fs::path& path) {
  if (fs::exists(path / "model_index.json")) return describe_checkpoint(path);
  const fs::path sequence = path / "";
  if (fs::exists(parse_sequence(sequence).file(1))) return describe_video(sequence);
  throw Error(fmt::format("{}: this folder holds neither model_index.json nor frame_0001.png", path.string()),
              "give a checkpoint folder as downloaded from the hub, or a folder of a clip's pictures");
}

// The backend that would run a precision on this machine's device, or that there is none.
std::string who_attends(Precision precision, c10::DeviceType type, const at::Device& here) {
  if (type != c10::kCPU && type != here.type()) return "no such device";
  AttendCall call;
  call.q = call.k = call.v = call.out =
      at::empty({1, 1, 64, 64}, at::TensorOptions(at::kBFloat16).device(type == here.type() ? here : at::kCPU));
  if (precision != Precision::full) call.recipe = recipe_of(precision, type);
  return std::string(choose_backend(call).backend.name);
}

std::string describe_attention() {
  const at::Device here = resolve_device(DeviceChoice::automatic);
  std::string text =
      "attention backends (--attention-backend, BITREEL_ATTENTION_BACKEND); of those that can do a call, kernels go "
      "before oracles:\n";
  for (const Backend& backend : backends()) {
    text += fmt::format("  {:<16} {:<9} {:<6}  {}\n", backend.name,
                        backend.arithmetic == Arithmetic::full ? "full" : "quantized",
                        backend.role == Role::kernel ? "kernel" : "oracle", backend.summary);
    const std::string on_cpu = backend.missing(c10::kCPU), on_gpu = backend.missing(c10::kCUDA);
    if (!on_cpu.empty() && !on_gpu.empty()) text += fmt::format("  {:<16} not on this machine: {}\n", "", on_cpu);
  }
  text += "\nprecisions (--attention): the backend that would run each on this machine, and how the device keeps it:\n";
  for (const Precision precision : all_precisions()) {
    for (const c10::DeviceType type : {c10::kCPU, c10::kCUDA}) {
      text +=
          fmt::format("  {:<9} {:<5} {:<16} {}\n", type == c10::kCPU ? name_of(precision) : "",
                      c10::DeviceTypeName(type, /*lower_case=*/true), who_attends(precision, type, here),
                      precision == Precision::full ? "the model's own dtype" : summary_of(recipe_of(precision, type)));
    }
  }
  return text;
}

}  // namespace

std::string describe(const fs::path& path) {
  if (path == "attention") return describe_attention();  // a folder of that name is ./attention
  if (path == "system") return describe_system();
  if (fs::is_directory(path)) return describe_folder(path);
  if (path.extension() == ".safetensors") return describe_safetensors(path);
  if (path.extension() == ".json") return describe_sidecar(path);
  if (fs::exists(path) || path.string().find('%') != std::string::npos) return describe_video(path);
  throw Error(fmt::format("{}: no such file or folder", path.string()),
              "give a checkpoint folder, a video, its sidecar or a .safetensors file");
}

void add_info(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "info", "What a model folder, a video or a latents file holds; attention's backends; this system");
  auto path = std::make_shared<fs::path>();
  command
      ->add_option("path", *path,
                   "A checkpoint folder, a video, its sidecar, a .safetensors file, or a word: attention, system")
      ->required()
      ->type_name("PATH");
  command->callback([path] { print_output(printable_lines(describe(*path))); });
}

}  // namespace bitreel
