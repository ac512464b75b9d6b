#include "app/bench/model_bench.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <torch/headeronly/version.h>

#include <map>
#include <memory>
#include <utility>

#include "app/attention_plan.h"
#include "app/bench/roofline.h"
#include "app/cpu_clock.h"
#include "app/forecast.h"
#include "app/gpu_clock.h"
#include "app/models.h"
#include "app/peak_memory.h"
#include "app/render.h"
#include "base/error.h"
#include "base/statistics.h"
#include "base/wall_clock.h"
#include "pipelines/layers/work_clock.h"
#include "pipelines/model/device.h"
#include "pipelines/model/planned_attention.h"

namespace bitreel {
namespace {

using nlohmann::ordered_json;

constexpr int model_bench_version = 1;      // of --output: docs/documents.md
constexpr std::int64_t profiled_steps = 2;  // whose kinds of work are timed

// What one case took in one variant.
struct Timing {
  double expected_bytes = 0;            // of memory, before
  std::vector<double> seconds;          // of each round
  std::map<std::string, double> works;  // seconds by kind, of one round
  std::vector<AttendReport::Row> ran;
  std::vector<std::string> remarks;  // what a person would be told
};

Render made_up_render(const ModelCase& shape, GenerateOptions options, std::uint64_t seed, at::Device device) {
  const Checkpoint stored = Checkpoint::open(model_folder(options));
  std::map<std::string, nlohmann::json> changes;
  // The text is not timed: its encoder need not be whole.
  if (stored.has("text_encoder")) changes["text_encoder"] = {{"num_layers", 1}};
  options.device = device.is_cuda() ? DeviceChoice::cuda : DeviceChoice::cpu;
  const RunOptions run = run_options(options);
  std::shared_ptr<Pipeline> model = open_pipeline(stored.made_up(seed, changes), run);
  if (shape.layers) {
    if (*shape.layers > model->traits().layers) {
      throw UsageError(
          fmt::format("{}: layers is {}, the model has {}", shape.name, *shape.layers, model->traits().layers));
    }
    changes[model->traits().denoiser] = {{"num_layers", *shape.layers}};
    model = open_pipeline(stored.made_up(seed, changes), run);
  }
  return resolve(std::move(options), std::move(model));
}

Timing time_steps(const ModelBench& bench, Render& render) {
  Pipeline& model = *render.model;
  const NamedTensors embeddings = model.encode(render.request);
  model.release(Phase::encode);
  render.request.steps = 1 + bench.rounds + profiled_steps;  // the first warms up
  const Plan plan = resolve_attention(render, {.denoiser = "made up"});
  AttendReport report;
  PlannedAttention planned(plan, {.backends = backends_from(render.options.attention_backend), .report = &report});
  Timing timing;
  timing.expected_bytes = expected_memory(render, plan);
  WorkClock clock(model.options().device);
  std::optional<WorkClock::Listening> listening;
  WallClock::time_point last;
  const auto on_step = [&](const StepEvent& event) {  // the check of the latents has waited for the device
    if (event.step.index >= 1 && event.step.index <= bench.rounds) timing.seconds.push_back(seconds_since(last));
    if (event.step.index == bench.rounds) listening.emplace(clock);
    last = WallClock::now();
  };
  model.denoise(render.request, embeddings,
                {.on_step = on_step,
                 .attention_of_step = std::ref(planned),
                 .on_remark = [&](const std::string& remark) { timing.remarks.push_back(remark); }});
  listening.reset();
  timing.works = clock.seconds();
  for (auto& [name, seconds] : timing.works) seconds /= static_cast<double>(profiled_steps);
  timing.ran = report.rows();
  return timing;
}

Timing time_decoding(const ModelBench& bench, const Render& render) {
  Pipeline& model = *render.model;
  NamedTensors latents;
  for (const auto& [name, shape] : model.latent_shapes(render.request)) {
    latents[name] = at::randn(shape, at::detail::createCPUGenerator(bench.seed), at::TensorOptions(at::kFloat));
  }
  const auto decode = [&] {
    const WallClock::time_point begun = WallClock::now();
    const auto seen = [](const Frame&) {};  // it is on the host: it has waited
    model.decode(render.request, latents, {.on_frame = seen, .on_image = seen, .on_text = [](const std::string&) {}});
    return seconds_since(begun);
  };
  Timing timing;
  timing.expected_bytes = expected_memory(render, {Phase::decode});
  decode();
  for (std::int64_t round = 0; round < bench.rounds; ++round) timing.seconds.push_back(decode());
  WorkClock clock(model.options().device);
  const WorkClock::Listening listening(clock);
  decode();
  timing.works = clock.seconds();
  return timing;
}

ordered_json json_of(const Work& work, double seconds, const Roofline& roofline) {
  ordered_json json = {{"work", work.name}, {"ms", seconds * 1e3}, {"flop", work.flop}, {"bytes", work.bytes}};
  json["floor_ms"] = roofline.seconds_at_least(work) * 1e3;
  return json;
}

ordered_json works_of(const PhaseCost& cost, const Timing& timing, const Roofline& roofline) {
  ordered_json works = ordered_json::array();
  std::map<std::string, double> left = timing.works;
  for (const Work& work : cost.works) {
    const auto timed = left.extract(work.name);
    works.push_back(json_of(work, timed ? timed.mapped() : 0, roofline));
  }
  for (const auto& [name, seconds] : left) works.push_back(json_of({.name = name}, seconds, roofline));
  return works;
}

ordered_json run_variant(const ModelBench& bench, Phase phase, const ModelCase& shape, const std::string& variant,
                         const GenerateOptions& options, const Roofline& roofline) {
  Render render = made_up_render(shape, options, bench.seed, bench.device);
  const Cost cost = render.model->cost(render.request);
  const PeakMemory peak(bench.device);
  const Timing timing = phase == Phase::denoise ? time_steps(bench, render) : time_decoding(bench, render);
  const PhaseCost& of_phase = phase == Phase::denoise ? cost.denoise : cost.decode;
  ordered_json works = works_of(of_phase, timing, roofline);
  double floor_ms = 0;
  for (const auto& work : works) floor_ms += work.at("floor_ms").get<double>();
  ordered_json ran = ordered_json::array();
  for (const AttendReport::Row& row : timing.ran) ran.push_back(row.backend);
  const Request& request = render.request;
  return {{"name", shape.name},
          {"variant", variant},
          {"model", render.model->checkpoint().folder().filename().string()},
          {"layers", phase == Phase::denoise ? ordered_json(cost.layers) : ordered_json()},
          {"size", {request.width, request.height, request.num_frames}},
          {"dtype", name_of(render.model->dtype())},
          {"tokens", cost.attention.queries},
          {"attention", render.options.attention},
          {"backends", ran},
          {"ms", median(timing.seconds) * 1e3},
          {"flop", of_phase.product_flop + of_phase.attention_flop},
          {"weight_bytes", of_phase.weight_bytes},
          {"floor_ms", floor_ms},
          {"expected_bytes", timing.expected_bytes},
          {"peak_host_bytes", PeakMemory::host_bytes()},
          {"peak_device_bytes", peak.device_bytes()},
          {"remarks", timing.remarks},
          {"works", std::move(works)}};
}

}  // namespace

ordered_json run_model_bench(const ModelBench& bench, Phase phase,
                             const std::function<void(const ordered_json&)>& on_case) {
  const c10::InferenceMode no_gradients;
  const bool on_gpu = bench.device.is_cuda();
  ordered_json results = {{"bitreel_model_bench", model_bench_version},
                          {"phase", phase == Phase::denoise ? "step" : "vae"},
                          {"device", on_gpu ? cuda_device_name() : cpu_name()},
                          {"threads", at::get_num_threads()},
                          {"libtorch", TORCH_VERSION},
                          {"rounds", bench.rounds},
                          {"roofline", ordered_json::object()},
                          {"cases", ordered_json::array()}};
  if (on_gpu) results["driver"] = GpuClock(bench.device).driver();
  std::map<at::ScalarType, Roofline> rooflines;
  for (const ModelCase& shape : bench.cases) {
    for (const auto& [variant, options] : shape.variants) {
      const at::ScalarType dtype = options.dtype.value();
      if (!rooflines.contains(dtype)) {
        const Roofline& measured = rooflines[dtype] = measure_roofline(bench.device, dtype);
        results["roofline"][std::string(name_of(dtype))] = {{"tflops", measured.flop_per_second * 1e-12},
                                                            {"gb_per_second", measured.bytes_per_second * 1e-9}};
      }
      try {
        results["cases"].push_back(run_variant(bench, phase, shape, variant, options, rooflines.at(dtype)));
      } catch (const c10::OutOfMemoryError& e) {  // costs this variant, not the others
        results["cases"].push_back({{"name", shape.name}, {"variant", variant}, {"error", e.what_without_backtrace()}});
      }
      on_case(results);
    }
  }
  return results;
}

}  // namespace bitreel
