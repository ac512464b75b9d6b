#include "app/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>

#include "app/clip_values.h"
#include "attention/attention.h"
#include "base/error.h"
#include "base/number_text.h"
#include "schedulers/precision/attention_choice.h"
#include "schedulers/precision/guard.h"

namespace bitreel {
namespace {

using nlohmann::ordered_json;
using Options = GenerateOptions;

[[noreturn]] void refuse(const std::string& where, const std::string& text, const std::string& expected) {
  throw UsageError(fmt::format("{} is \"{}\", expected {}", where, text, expected));
}

// One enumeration's names: the same list parses, prints and documents.
template <class T>
using Names = std::vector<std::pair<std::string_view, T>>;

const Names<DynamicGuidance> dynamic_guidances = {
    {"off", DynamicGuidance::off}, {"peer", DynamicGuidance::peer}, {"ramp", DynamicGuidance::ramp}};
const Names<SchedulerKind> schedulers = [] {
  Names<SchedulerKind> names;
  for (const SchedulerKind kind : all_schedulers()) names.emplace_back(name_of(kind), kind);
  return names;
}();
const Names<at::ScalarType> dtypes = {{"fp32", at::kFloat}, {"bf16", at::kBFloat16}, {"fp16", at::kHalf}};
const Names<DeviceChoice> devices = {
    {"cpu", DeviceChoice::cpu}, {"cuda", DeviceChoice::cuda}, {"auto", DeviceChoice::automatic}};
const Names<Elementwise> elementwise_paths = {{name_of(Elementwise::fused), Elementwise::fused},
                                              {name_of(Elementwise::composed), Elementwise::composed}};
const Names<LinearPrecision> linear_precisions = {{name_of(LinearPrecision::full), LinearPrecision::full},
                                                  {name_of(LinearPrecision::int8), LinearPrecision::int8},
                                                  {name_of(LinearPrecision::fp8), LinearPrecision::fp8}};
const Names<LinearPath> linear_paths = {{name_of(LinearPath::library), LinearPath::library},
                                        {name_of(LinearPath::plain), LinearPath::plain}};
const Names<WeightStorage> weight_storages = {{name_of(WeightStorage::full), WeightStorage::full},
                                              {name_of(WeightStorage::fp8), WeightStorage::fp8}};
const Names<Offload> offloads = {{name_of(Offload::none), Offload::none},
                                 {name_of(Offload::model), Offload::model},
                                 {name_of(Offload::layers), Offload::layers}};
const Names<ConvolutionLayout> vae_layouts = {
    {name_of(ConvolutionLayout::planar), ConvolutionLayout::planar},
    {name_of(ConvolutionLayout::channels_last), ConvolutionLayout::channels_last}};
const Names<Tiling> tilings = {{"true", Tiling::on}, {"false", Tiling::off}, {"auto", Tiling::automatic}};
const Names<bool> truths = {{"true", true}, {"false", false}};

template <class T>
std::string joined(const Names<T>& names, std::string_view separator) {
  std::string text;
  for (const auto& [name, value] : names) text += fmt::format("{}{}", text.empty() ? "" : separator, name);
  return text;
}

template <class T>
T parse(const Names<T>& names, const std::string& text, const std::string& where) {
  for (const auto& [name, value] : names) {
    if (name == text) return value;
  }
  refuse(where, text, joined(names, ", "));
}

template <class T>
std::string_view name_in(const Names<T>& names, T value) {
  const auto found = std::find_if(names.begin(), names.end(), [&](const auto& entry) { return entry.second == value; });
  return found == names.end() ? std::string_view("unknown") : found->first;
}

// Prompts and paths end in JSON, YAML and video tags, which are UTF-8: anything else is refused at the door.
Setting text(std::string name, std::string Options::*member) {
  return {
      .name = std::move(name),
      .shape = "TEXT",
      .set = [member](Options& o, const std::string& t, const std::string& where) { o.*member = utf8_from(t, where); },
      .get = [member](const Options& o) { return ordered_json(o.*member); }};
}

Setting path(std::string name, std::filesystem::path Options::*member) {
  return {.name = std::move(name),
          .shape = "PATH",
          .set =
              [member](Options& o, const std::string& t, const std::string& where) {
                if (t.empty()) refuse(where, t, "a path");
                o.*member = utf8_from(t, where);
              },
          .get =
              [member](const Options& o) {
                return (o.*member).empty() ? ordered_json() : ordered_json((o.*member).string());
              }};
}

Setting whole(std::string name, std::optional<std::int64_t> Options::*member, std::int64_t least, std::int64_t most) {
  return {.name = std::move(name),
          .shape = "INT",
          .set =
              [=](Options& o, const std::string& t, const std::string& where) {
                const auto value = number_from<std::int64_t>(t);
                if (!value || *value < least || *value > most) {
                  refuse(where, t, fmt::format("a whole number from {} to {}", least, most));
                }
                o.*member = value;
              },
          .get = [member](const Options& o) { return o.*member ? ordered_json(*(o.*member)) : ordered_json(); }};
}

Setting toggle(std::string name, bool Options::*member) {
  return {.name = std::move(name),
          .form = SettingForm::toggle,
          .set = [member](Options& o, const std::string& t,
                          const std::string& where) { o.*member = parse(truths, t, where); },
          .get = [member](const Options& o) { return ordered_json(o.*member); }};
}

template <class Member, class T>
Setting choice(const std::string& name, Member Options::*member, const Names<T>& names) {
  return {
      .name = name,
      .shape = joined(names, "|"),
      .set = [=](Options& o, const std::string& t, const std::string& where) { o.*member = parse(names, t, where); },
      .get =
          [=](const Options& o) {
            if constexpr (std::is_same_v<Member, std::optional<T>>) {
              return o.*member ? ordered_json(name_in(names, *(o.*member))) : ordered_json();
            } else {
              return ordered_json(name_in(names, o.*member));
            }
          }};
}

Setting prompt_setting() {
  return {.name = "prompt",
          .shape = "TEXT",
          .set = [](Options& o, const std::string& t, const std::string& where) { o.prompt = prompt_from(t, where); },
          .get = [](const Options& o) { return o.prompt ? ordered_json(*o.prompt) : ordered_json(); }};
}

Setting negative_prompt_setting() {
  Setting setting = text("negative-prompt", &Options::negative_prompt);
  setting.set = [](Options& o, const std::string& t, const std::string& where) {
    o.negative_prompt = prompt_from(t, where);
  };
  return setting;
}

Setting seed_setting() {
  return {.name = "seed",
          .shape = "INT",
          .set =
              [](Options& o, const std::string& t, const std::string& where) {
                o.seed = number_from<std::uint64_t>(t);
                if (!o.seed && t != "-1") {
                  refuse(where, t,
                         fmt::format("a whole number from 0 to {}, or -1 for a random one",
                                     std::numeric_limits<std::uint64_t>::max()));
                }
              },
          .get = [](const Options& o) { return o.seed ? ordered_json(*o.seed) : ordered_json(); }};
}

Setting real(std::string name, std::optional<double> Options::*member, double least, double most) {
  return {.name = std::move(name),
          .shape = "NUMBER",
          .set =
              [=](Options& o, const std::string& t, const std::string& where) {
                const auto value = number_from<double>(t);
                if (!value || !(*value >= least && *value <= most)) {  // so that nan is refused too
                  refuse(where, t, fmt::format("a number from {} to {}", least, most));
                }
                o.*member = value;
              },
          .get = [member](const Options& o) { return o.*member ? ordered_json(*(o.*member)) : ordered_json(); }};
}

Setting fps_setting() {
  Setting setting = real("fps", &Options::fps, 0, 0);
  setting.set = [](Options& o, const std::string& t, const std::string& where) { o.fps = fps_from(t, where); };
  return setting;
}

Setting optional_text(std::string name, std::string Options::*member) {
  Setting setting = text(std::move(name), member);
  setting.get = [member](const Options& o) { return (o.*member).empty() ? ordered_json() : ordered_json(o.*member); };
  return setting;
}

// A one-liner is checked here; a plan file is read when a clip is to be denoised, as its record may outlive it.
Setting attention_setting() {
  Setting setting = text("attention", &Options::attention);
  setting.shape = "PLAN";
  setting.set = [](Options& o, const std::string& t, const std::string& where) {
    o.attention = utf8_from(t, where);
    if (!names_plan_file(t)) parse_attention(t, where);
  };
  return setting;
}

Setting guard_setting() {
  Setting setting = whole("guard", &Options::guard, 1, 1'000'000);
  setting.form = SettingForm::optional_value;
  setting.implied = std::to_string(GuardOptions{}.every);
  return setting;
}

Setting backend_setting() {
  Setting setting = optional_text("attention-backend", &Options::attention_backend);
  setting.shape = "NAME[,NAME]";
  setting.set = [](Options& o, const std::string& t, const std::string& where) {
    (void)backends_from(t, where);
    o.attention_backend = t;
  };
  return setting;
}

// Peer's flag without a value, our choice of formula with one; true and false as in the peer's argument.
Setting dynamic_cfg_setting() {
  Setting setting = choice("dynamic-cfg", &Options::dynamic_cfg, dynamic_guidances);
  setting.form = SettingForm::optional_value;
  setting.implied = "peer";
  setting.set = [names_only = setting.set](Options& o, const std::string& t, const std::string& where) {
    names_only(o, t == "true" ? "peer" : t == "false" ? "off" : t, where);
  };
  return setting;
}

Setting vae_tiling_setting() {
  Setting setting = choice("vae-tiling", &Options::vae_tiling, tilings);
  setting.form = SettingForm::toggle;
  setting.word = "auto";
  setting.get = [](const Options& o) {
    return o.vae_tiling == Tiling::automatic ? ordered_json("auto") : ordered_json(o.vae_tiling == Tiling::on);
  };
  return setting;
}

Setting with_help(Setting setting, std::string group, std::string help, std::string letter = {}) {
  setting.letter = std::move(letter);
  setting.group = std::move(group);
  setting.help = std::move(help);
  return setting;
}

std::vector<Setting> make_settings() {
  constexpr std::int64_t many = 1'000'000;
  const std::string clip = "The clip";
  const std::string model = "Model and device";
  const std::string file = "Files";
  return {
      with_help(optional_text("mode", &Options::mode), clip,
                "What to make of what, for models with several modes (bitreel info MODEL); inferred from --prompt and "
                "--image when absent"),
      with_help(prompt_setting(), clip, "What the clip or picture shows", "p"),
      with_help(negative_prompt_setting(), clip, "What it should not show"),
      with_help(path("image", &Options::image), clip, "A picture to read or to vary: PNG, JPEG, WebP, TIFF or BMP"),
      with_help(whole("num-images", &Options::num_images, 1, many), clip, "Pictures from one run; 1 when absent"),
      with_help(whole("num-prompts", &Options::num_prompts, 1, many), clip, "Texts from one run; 1 when absent"),
      with_help(whole("width", &Options::width, 1, many), clip, "Pixels; the model's own width when absent"),
      with_help(whole("height", &Options::height, 1, many), clip, "Pixels; the model's own height when absent"),
      with_help(whole("num-frames", &Options::num_frames, 1, many), clip,
                "Frames; as the model was trained when absent"),
      with_help(fps_setting(), clip,
                "Frames a second, also as a fraction (24000/1001): 8, or 16 for CogVideoX 1.5, when absent"),
      with_help(whole("steps", &Options::steps, 1, many), clip, "Denoising steps; 50 when absent"),
      with_help(real("guidance-scale", &Options::guidance_scale, 0, 1000), clip,
                "How hard the prompt pulls; the model's usual one when absent, 1 or less runs without guidance"),
      with_help(dynamic_cfg_setting(), clip,
                "Guidance that varies over the steps: peer (diffusers' formula, also without a value) or ramp (a "
                "cosine ramp)"),
      with_help(choice("scheduler", &Options::scheduler, schedulers), clip,
                "Noise scheduler; the checkpoint's when absent"),
      with_help(seed_setting(), clip, "Same seed, same clip; -1 or absent: a random one, which is said and recorded"),
      with_help(path("model", &Options::model), model,
                "Checkpoint folder as diffusers saves it; the default model when absent"),
      with_help(choice("dtype", &Options::dtype, dtypes), model,
                "Number format; the transformer's stored one when absent (bf16 for fp16 on a CPU)"),
      with_help(choice("device", &Options::device, devices), model, "auto: CUDA when there is a usable GPU"),
      with_help(attention_setting(), model,
                "Precision of attention: full, int8, int4, sage1-t|b|vt|vb, sage2-8b|4b; a plan such as "
                "first-last:3=int8,rest=int4; or a plan file"),
      with_help(optional_text("accept-plan-of", &Options::accept_plan_of), model,
                "Take a plan file made for this other model or scheduler"),
      with_help(guard_setting(), model,
                "Check one head of each quantized layer every so many steps (5), and give a layer more bits where its "
                "error exceeds the plan's bound"),
      with_help(real("guard-bound", &Options::guard_bound, 0, 2), model,
                "The error, 1 - score, that the guard lets pass; the plan's own when absent"),
      with_help(
          backend_setting(), model,
          "Which implementation attends in denoising (bitreel info attention); one name, or one for full precision and "
          "one for quantized attention: reference,emulated; the best when absent"),
      with_help(choice("elementwise", &Options::elementwise, elementwise_paths), model,
                "Between matrix products: our fused kernels, or LibTorch's operations one by one"),
      with_help(choice("linear", &Options::linear, linear_precisions), model,
                "The denoiser's large matrix products: full, or in 8 bits, a scale for each token and output"),
      with_help(choice("linear-path", &Options::linear_path, linear_paths), model,
                "Who multiplies: in 8 bits oneDNN or cuBLASLt where they can, in full precision on Hopper our own "
                "calls of cuBLASLt; or LibTorch's operations one by one"),
      with_help(toggle("cuda-graph", &Options::cuda_graph), model,
                "On a GPU record the launches of a step and play them again (on), instead of launching every kernel"),
      with_help(
          choice("weights", &Options::weights, weight_storages), model,
          "The weights of those products: full, or a byte each, fp8 with a scale for each output, and products in "
          "full precision"),
      with_help(choice("offload", &Options::offload, offloads), model,
                "What waits in host memory for its turn on the GPU: nothing, the parts that do not work (a single clip "
                "lets go of them anyway), or all layers but two"),
      with_help(real("gpu-memory-limit", &Options::gpu_memory_limit, 0.1, 100'000), model,
                "GiB of GPU memory that this process may take; all there is when absent"),
      with_help(
          vae_tiling_setting(), model,
          "Decode in tiles: less memory, slightly other pixels; auto: where too little is free for the whole, which "
          "is said"),
      with_help(
          choice("vae-layout", &Options::vae_layout, vae_layouts), model,
          "How the decoder's tensors lie in memory: channels-last on a GPU when absent; pixels differ by rounding"),
      with_help(path("output", &Options::output), file,
                "The video, picture or text; its extension picks the format (bitreel-SEED.mp4, .png or .txt)", "o"),
      with_help(optional_text("codec", &Options::codec), file, "Video codec; the extension's usual one when absent"),
      with_help(whole("crf", &Options::crf, 0, 63), file, "Quality of lossy codecs, smaller is better"),
      with_help(path("save-latents", &Options::save_latents), file, "Keep the final latents in this .safetensors file"),
      with_help(toggle("no-metadata", &Options::no_metadata), file,
                "Leave provenance out of the file, write no sidecar"),
  };
}

}  // namespace

std::string Setting::key() const {
  std::string key = name;
  std::replace(key.begin(), key.end(), '-', '_');
  return key;
}

const std::vector<Setting>& settings() {
  static const std::vector<Setting> table = make_settings();
  return table;
}

const Setting& setting(const std::string& name) {
  const auto found =
      std::find_if(settings().begin(), settings().end(), [&](const Setting& s) { return s.name == name; });
  if (found == settings().end()) throw Error(fmt::format("no setting is called {}", name));
  return *found;
}

std::string_view name_of(at::ScalarType dtype) {
  return name_in(dtypes, dtype);
}
std::string_view name_of(DeviceChoice device) {
  return name_in(devices, device);
}

}  // namespace bitreel
