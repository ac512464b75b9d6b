#include "app/commands/attention_bench.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/headeronly/version.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <optional>

#include "app/assets.h"
#include "app/cpu_clock.h"
#include "app/gpu_clock.h"
#include "attention/attention.h"
#include "base/error.h"
#include "base/input_file.h"
#include "base/json_text.h"
#include "base/printable.h"
#include "base/readable_json.h"
#include "base/standard_streams.h"
#include "base/statistics.h"
#include "base/strict_yaml.h"
#include "base/wall_clock.h"
#include "base/written_file.h"
#include "pipelines/model/device.h"

namespace bitreel {
namespace {

using nlohmann::ordered_json;

constexpr int bench_format_version = 1;  // of --output: docs/documents.md

at::ScalarType dtype_of(const std::string& name, const std::string& where) {
  const std::map<std::string, at::ScalarType> known = {
      {"fp32", at::kFloat}, {"bf16", at::kBFloat16}, {"fp16", at::kHalf}};
  const auto found = known.find(name);
  if (found == known.end()) throw UsageError(fmt::format("{} is \"{}\", expected fp32, bf16 or fp16", where, name));
  return found->second;
}

struct Inputs {
  at::Tensor q, k, v;

  [[nodiscard]] Inputs to(at::ScalarType dtype) const { return {q.to(dtype), k.to(dtype), v.to(dtype)}; }
};

// Normal with standard deviation 1, so logits have it too; tokens outermost in memory, as a projection leaves them. On
// a GPU, where smoothing is timed, every channel of the keys has a bias of its own.
Inputs random_inputs(const AttentionCase& shape, at::Device device) {
  const std::vector<std::int64_t> sizes = {shape.batch, shape.tokens, shape.heads, shape.dim};
  if (device.is_cuda()) {
    at::manual_seed(1);
    const at::TensorOptions there = at::TensorOptions(at::kFloat).device(device);
    const auto draw = [&] { return at::randn(sizes, there).transpose(1, 2); };
    return {draw(), draw() + at::randn({shape.dim}, there), draw()};
  }
  const at::Generator generator = at::detail::createCPUGenerator(1);
  const auto draw = [&] { return at::randn(sizes, generator, at::TensorOptions(at::kFloat)).transpose(1, 2); };
  return {draw(), draw(), draw()};
}

struct Contender {
  std::string name;
  std::string precision;
  std::function<at::Tensor(double& quantization_seconds)> attend;
  std::function<void()> quantize = {};  // the pass alone, where attend() can't say what it took
  double peak_tops = 0;                 // of its dot-product instruction; 0 when unknown
  std::vector<double> seconds = {};
  std::vector<double> quantization = {};
};

// Runs a contender once and notes what it took.
class Round {
 public:
  explicit Round(at::Device device) {
    if (device.is_cuda()) gpu_.emplace(device);
  }
  void run(Contender& contender) {
    double quantization = 0;
    if (gpu_) {
      const GpuTiming timing = gpu_->time([&] { contender.attend(quantization); });
      contender.seconds.push_back(timing.seconds);
      clock_ghz_.push_back(timing.sm_ghz);
      if (contender.quantize) quantization = gpu_->time(contender.quantize).seconds;
    } else {
      clock_ghz_.push_back(measured_clock_ghz());
      const WallClock::time_point begun = WallClock::now();
      contender.attend(quantization);
      contender.seconds.push_back(seconds_since(begun));
    }
    contender.quantization.push_back(quantization);
  }
  [[nodiscard]] double clock_ghz() const { return median(clock_ghz_); }

 private:
  std::optional<GpuClock> gpu_;
  std::vector<double> clock_ghz_;
};

double median_ratio(const std::vector<double>& slower, const std::vector<double>& faster) {
  std::vector<double> ratios(slower.size());
  std::transform(slower.begin(), slower.end(), faster.begin(), ratios.begin(), std::divides<>());
  return median(ratios);
}

// Query rows spread over the sequence, and the formula's answer for them.
class Accuracy {
 public:
  Accuracy(const Inputs& inputs, std::int64_t rows)
      : rows_(at::linspace(0, inputs.q.size(2) - 1, std::min(rows, inputs.q.size(2))).to(inputs.q.device(), at::kLong)),
        exact_(attend(inputs.q.index_select(2, rows_).to(at::kDouble), inputs.k.to(at::kDouble),
                      inputs.v.to(at::kDouble), {.backend = "reference"})) {}

  [[nodiscard]] Similarity of(const at::Tensor& out) const {
    return similarity(exact_, out.index_select(2, rows_).to(at::kDouble));
  }

 private:
  at::Tensor rows_;
  at::Tensor exact_;
};

AttendCall call_of(const Inputs& x, const Recipe& recipe) {
  return {.q = x.q,
          .k = x.k,
          .v = x.v,
          .recipe = recipe,
          .scale = 1 / std::sqrt(static_cast<double>(x.q.size(3))),
          .out = at::empty_like(x.q)};
}

std::vector<Contender> contenders_of(const AttentionBench& bench, const Inputs& inputs) {
  std::vector<Contender> all;
  for (const std::string& dtype : bench.baselines) {
    const Inputs x = inputs.to(dtype_of(dtype, "baselines"));
    const std::string kernel =
        x.q.is_cuda() ? fmt::format(" ({})", backend_named("sdpa").kernel({.q = x.q, .k = x.k, .v = x.v})) : "";
    all.push_back({.name = fmt::format("LibTorch {}{}", dtype, kernel), .precision = dtype, .attend = [x](double&) {
                     return at::scaled_dot_product_attention(x.q, x.k, x.v);
                   }});
  }
  for (const Backend& backend : backends()) {
    // Without vector instructions one call of these shapes takes minutes, and an older GPU's units are for tests: only
    // when they are asked for.
    const bool wanted = bench.backends.empty()
                            ? backend.name != "cpu-scalar" && backend.name != "cuda-mma-sm80"
                            : std::ranges::find(bench.backends, backend.name) != bench.backends.end();
    if (backend.arithmetic != Arithmetic::quantized || backend.role != Role::kernel || !wanted) continue;
    if (const std::string missing = backend.missing(inputs.q.device().type()); !missing.empty()) {
      if (bench.backends.empty()) continue;
      throw Error(fmt::format("attention backend {} can't be timed here: {}", backend.name, missing));
    }
    const double peak = backend.peak_tops == nullptr ? 0 : backend.peak_tops();
    for (const std::string& precision : bench.precisions) {
      const Recipe recipe = recipe_from(precision, inputs.q.device().type());
      const AttendCall call = call_of(inputs, recipe);
      if (bench.backends.empty() && !backend.refuses(call).empty()) continue;
      all.push_back({.name = std::string(backend.name),
                     .precision = precision,
                     .attend =
                         [x = inputs, recipe, name = std::string(backend.name)](double& quantization) {
                           return attend(x.q, x.k, x.v,
                                         {.recipe = recipe, .backend = name, .quantization_seconds = &quantization});
                         },
                     .peak_tops = peak});
      if (backend.quantize != nullptr) all.back().quantize = [call, &backend] { backend.quantize(call); };
    }
  }
  return all;
}

ordered_json run_case(const AttentionBench& bench, const AttentionCase& shape) {
  // The same values for everybody.
  const Inputs inputs = random_inputs(shape, bench.device).to(dtype_of(shape.dtype, shape.name));
  const Accuracy accuracy(inputs, bench.accuracy_rows);
  std::vector<Contender> contenders = contenders_of(bench, inputs);
  Round turn(bench.device);
  std::vector<Similarity> similarities;
  for (const Contender& contender : contenders) {
    double ignored = 0;
    similarities.push_back(accuracy.of(contender.attend(ignored)));  // warms up too
  }
  for (std::int64_t round = 0; round < bench.rounds; ++round) {
    for (Contender& contender : contenders) turn.run(contender);
  }
  const double operations = 4.0 * static_cast<double>(shape.batch * shape.heads) *
                            std::pow(static_cast<double>(shape.tokens), 2) * static_cast<double>(shape.dim);
  ordered_json rows = ordered_json::array();
  for (std::size_t i = 0; i < contenders.size(); ++i) {
    const Contender& contender = contenders[i];
    const double seconds = median(contender.seconds);
    ordered_json row = {{"backend", contender.name},
                        {"precision", contender.precision},
                        {"ms", seconds * 1e3},
                        {"quantization_ms", median(contender.quantization) * 1e3},
                        {"tops", operations / seconds * 1e-12},
                        {"peak_tops", contender.peak_tops},
                        {"cosine", similarities[i].cosine},
                        {"relative_l2", similarities[i].relative_l2}};
    for (std::size_t base = 0; base < bench.baselines.size(); ++base) {
      row["times_" + bench.baselines[base]] = median_ratio(contenders[base].seconds, contender.seconds);
    }
    rows.push_back(row);
  }
  return {{"name", shape.name},
          {"shape", {shape.batch, shape.heads, shape.tokens, shape.dim}},
          {"dtype", shape.dtype},
          {"clock_ghz", turn.clock_ghz()},
          {"rows", rows}};
}

}  // namespace

AttentionBench read_attention_bench(const std::filesystem::path& file) {
  const StrictYaml yaml = StrictYaml::open(file);
  const auto values = yaml.map(yaml.root(), "the benchmark", {"cases", "precisions", "baselines"},
                               {"rounds", "accuracy_rows", "backends"});
  AttentionBench bench;
  const auto positive = [&](const YAML::Node& node, const std::string& what) {
    const auto value = yaml.number<std::int64_t>(node, what);
    if (value < 1) throw UsageError(fmt::format("{}: {} is {}, expected 1 or more", yaml.at(node), what, value));
    return value;
  };
  if (values.contains("rounds")) bench.rounds = positive(values.at("rounds"), "rounds");
  if (values.contains("accuracy_rows")) bench.accuracy_rows = positive(values.at("accuracy_rows"), "accuracy_rows");
  const auto texts = [&](const std::string& key) {
    std::vector<std::string> all;
    for (const YAML::Node& node : yaml.list(values.at(key), key)) all.push_back(yaml.text(node, key));
    return all;
  };
  bench.baselines = texts("baselines");
  for (const std::string& dtype : bench.baselines) dtype_of(dtype, yaml.at(values.at("baselines")) + ": baselines");
  bench.precisions = texts("precisions");
  for (const std::string& precision : bench.precisions) recipe_from(precision, c10::kCPU);
  if (values.contains("backends")) bench.backends = texts("backends");
  for (const std::string& backend : bench.backends) backend_named(backend);
  for (const YAML::Node& node : yaml.list(values.at("cases"), "cases")) {
    const auto fields = yaml.map(node, "a case", {"name", "shape", "dtype"}, {});
    const std::vector<YAML::Node> shape = yaml.list(fields.at("shape"), "shape");
    if (shape.size() != 4) {
      throw UsageError(fmt::format("{}: shape has {} numbers, expected 4: batch, heads, tokens, head dim",
                                   yaml.at(fields.at("shape")), shape.size()));
    }
    bench.cases.push_back({.name = yaml.text(fields.at("name"), "name"),
                           .batch = positive(shape[0], "batch"),
                           .heads = positive(shape[1], "heads"),
                           .tokens = positive(shape[2], "tokens"),
                           .dim = positive(shape[3], "head dim"),
                           .dtype = yaml.text(fields.at("dtype"), "dtype")});
    dtype_of(bench.cases.back().dtype, yaml.at(fields.at("dtype")) + ": dtype");
  }
  return bench;
}

ordered_json run_attention_bench(const AttentionBench& bench, const std::function<void(const ordered_json&)>& on_case) {
  const c10::InferenceMode no_gradients;
  const bool on_gpu = bench.device.is_cuda();
  ordered_json results = {{"bitreel_attention_bench", bench_format_version},
                          {"device", on_gpu ? cuda_device_name() : cpu_name()},
                          {"threads", at::get_num_threads()},
                          {"libtorch", TORCH_VERSION},
                          {"rounds", bench.rounds},
                          {"baselines", bench.baselines},
                          {"cases", ordered_json::array()}};
  if (on_gpu) results["driver"] = GpuClock(bench.device).driver();
  for (const AttentionCase& shape : bench.cases) {
    results["cases"].push_back(run_case(bench, shape));
    on_case(results["cases"].back());
  }
  return results;
}

std::string attention_table(const ordered_json& results) {
  std::string text = "| shape | backend | precision | ms | of which quantizing | TOPS | of peak |";
  std::string rule = "|---|---|---|---:|---:|---:|---:|";
  for (const auto& baseline : results.at("baselines")) {
    text += fmt::format(" vs LibTorch {} |", baseline.get<std::string>());
    rule += "---:|";
  }
  text += " CosSim | rel. L2 |\n" + rule + "---:|---:|\n";
  for (const auto& shape : results.at("cases")) {
    for (const auto& row : shape.at("rows")) {
      const double tops = row.at("tops"), peak = row.at("peak_tops");
      const double quantization = row.at("quantization_ms");
      text += fmt::format("| {} {} | {} | {} | {:.2f} | {} | {:.2f} | {} |", shape.at("name").get<std::string>(),
                          shape.at("shape").dump(), row.at("backend").get<std::string>(),
                          row.at("precision").get<std::string>(), row.at("ms").get<double>(),
                          quantization > 0 ? fmt::format("{:.2f} ms", quantization) : "", tops,
                          peak > 0 ? fmt::format("{:.0f} %", 100 * tops / peak) : "");
      for (const auto& baseline : results.at("baselines")) {
        text += fmt::format(" {:.2f}x |", row.at("times_" + baseline.get<std::string>()).get<double>());
      }
      text += fmt::format(" {:.5f} | {:.4f} |\n", row.at("cosine").get<double>(), row.at("relative_l2").get<double>());
    }
  }
  const std::string runs_on = results.contains("driver")
                                  ? fmt::format("driver {}", results.at("driver").get<std::string>())
                                  : fmt::format("{} threads", results.at("threads").get<int>());
  return text + fmt::format("\n{}, {}, LibTorch {}; medians of {} interleaved rounds.\n",
                            results.at("device").get<std::string>(), runs_on, results.at("libtorch").get<std::string>(),
                            results.at("rounds").get<int>());
}

void add_bench(CLI::App& app) {
  struct Command {
    std::filesystem::path cases;
    std::string device = "cpu";
    std::filesystem::path output;
    std::filesystem::path show;
  };
  CLI::App* bench = app.add_subcommand("bench", "Time parts of Bitreel beside LibTorch's");
  bench->require_subcommand(1);
  CLI::App* command = bench->add_subcommand("attention", "Attention kernels: speed and accuracy in one table");
  auto state = std::make_shared<Command>();
  command->add_option("cases", state->cases, "YAML file of shapes and precisions (configs/bench/attention[-cuda].yaml)")
      ->type_name("FILE");
  command->add_option("--device", state->device, "cpu or cuda")->check(CLI::IsMember({"cpu", "cuda"}));
  command->add_option("--output,-o", state->output, "Write the results as JSON")->type_name("FILE");
  command->add_option("--show", state->show, "Print the table of a results file and stop")->type_name("FILE");
  command->callback([state] {
    if (!state->show.empty()) {
      const auto results =
          parse_json_if_any<ordered_json>(read_file(state->show, {.expected = "results of bitreel bench attention"}));
      try {
        print_output(printable_lines(attention_table(results)));
      } catch (const nlohmann::json::exception& e) {
        throw Error(fmt::format("{} holds no results of bitreel bench attention: {}", state->show.string(), e.what()));
      }
      return;
    }
    check_can_write(state->output);
    const bool on_gpu = state->device == "cuda";
    if (state->cases.empty()) {
      state->cases = asset(on_gpu ? "configs/bench/attention-cuda.yaml" : "configs/bench/attention.yaml");
    }
    AttentionBench cases = read_attention_bench(state->cases);
    cases.device = resolve_device(on_gpu ? DeviceChoice::cuda : DeviceChoice::cpu);
    const ordered_json results = run_attention_bench(cases, [](const ordered_json& shape) {
      print_error(
          printable_lines(fmt::format("{}: {} contenders timed at {:.2f} GHz\n", shape["name"].get<std::string>(),
                                      shape["rows"].size(), shape["clock_ghz"].get<double>())));
    });
    print_output(printable_lines(attention_table(results)));
    if (!state->output.empty()) write_whole(state->output, readable_json(results));
  });
}

}  // namespace bitreel
