// Seconds of each stage of a clip, through Google Benchmark:
//
//   build/bench/tests/bench_stages assets/pocket --benchmark_repetitions=3
//
// The clip is the checkpoint's default one in its own dtype, guidance on: what `bitreel generate` makes. Stages load
// their weights as they do there, but for the step, which is timed from one step's end to the next one's.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <benchmark/benchmark.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <chrono>
#include <filesystem>

#include "app/render.h"
#include "attention/attention.h"
#include "base/error.h"
#include "pipelines/video/writer.h"

namespace bitreel {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// What every stage starts from, made once: the stages before it are run once to get there.
struct Clip {
  Render render;
  NamedTensors text;
  NamedTensors latents;

  explicit Clip(Render resolved) : render(std::move(resolved)) {
    text = model().encode(render.request);
    Request short_request = render.request;
    short_request.steps = 1;
    latents = model().denoise(short_request, text);
  }
  [[nodiscard]] Pipeline& model() const { return *render.model; }
};

Clip open_clip(const std::filesystem::path& folder) {
  GenerateOptions options;
  options.prompt = "a red circle moves right on a navy background";
  options.model = folder;
  options.device = DeviceChoice::cpu;
  options.seed = 42;
  options.output = std::filesystem::temp_directory_path() / "bitreel-bench.mkv";
  return Clip(resolve(options, open_model(options)));
}

void open_checkpoint(benchmark::State& state, const Clip& clip) {
  for (auto _ : state) benchmark::DoNotOptimize(open_model(clip.render.options));
}

void encode_text(benchmark::State& state, const Clip& clip) {
  for (auto _ : state) {
    clip.model().release(Phase::encode);
    benchmark::DoNotOptimize(clip.model().encode(clip.render.request));
  }
}

void denoise_step(benchmark::State& state, Clip& clip) {
  Request request = clip.render.request;
  request.steps = 2;
  for (auto _ : state) {
    Clock::time_point first;
    const auto on_step = [&](const StepEvent& event) {
      if (event.step.index == 0) first = Clock::now();
      if (event.step.index == 1) state.SetIterationTime(seconds_since(first));
    };
    clip.model().denoise(request, clip.text, {.on_step = on_step});
  }
}

void decode_frames(benchmark::State& state, Clip& clip) {
  for (auto _ : state) {
    clip.model().release(Phase::decode);
    clip.model().decode(clip.render.request, clip.latents,
                        {.on_frame = [](const Frame& frame) { benchmark::DoNotOptimize(frame.rgb); }});
  }
}

// Decoding into a file: what the encoder adds to decode_frames is the difference.
void decode_to_file(benchmark::State& state, Clip& clip) {
  const Request& request = clip.render.request;
  for (auto _ : state) {
    VideoWriter video(std::filesystem::temp_directory_path() / "bitreel-bench.mp4", clip.render.video,
                      static_cast<int>(request.width), static_cast<int>(request.height));
    clip.model().release(Phase::decode);
    clip.model().decode(request, clip.latents, {.on_frame = [&](const Frame& frame) { video.push(frame); }});
    video.finish();
  }
  std::filesystem::remove(std::filesystem::temp_directory_path() / "bitreel-bench.mp4");
}

// One layer's attention at the clip's own shape, guidance's two passes together.
void attention(benchmark::State& state, const Clip& clip) {
  const AttentionShape shape = clip.model().cost(clip.render.request).attention;
  const auto qkv = at::randn({3, shape.batch, shape.heads, shape.queries, shape.head_dim}).to(clip.model().dtype());
  for (auto _ : state) benchmark::DoNotOptimize(attend(qkv[0], qkv[1], qkv[2]));
}

int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (argc != 2)
    throw UsageError("bench_stages needs one checkpoint folder", "build/bench/tests/bench_stages assets/pocket");
  const c10::InferenceMode no_gradients;
  Clip clip = open_clip(argv[1]);
  benchmark::AddCustomContext("model", clip.model().checkpoint().folder().filename().string());
  benchmark::AddCustomContext("threads", std::to_string(at::get_num_threads()));
  benchmark::AddCustomContext("cpu_capability", at::get_cpu_capability());
  const auto wall = [](benchmark::internal::Benchmark* stage) { stage->Unit(benchmark::kMillisecond)->UseRealTime(); };
  wall(benchmark::RegisterBenchmark("open_checkpoint", open_checkpoint, std::cref(clip)));
  wall(benchmark::RegisterBenchmark("encode_text", encode_text, std::ref(clip)));
  wall(benchmark::RegisterBenchmark("attention_layer", attention, std::cref(clip)));
  benchmark::RegisterBenchmark("denoise_step", denoise_step, std::ref(clip))
      ->Unit(benchmark::kMillisecond)
      ->UseManualTime();
  wall(benchmark::RegisterBenchmark("decode_frames", decode_frames, std::ref(clip)));
  wall(benchmark::RegisterBenchmark("decode_to_file", decode_to_file, std::ref(clip)));
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace bitreel

int main(int argc, char** argv) {
  try {
    return bitreel::run(argc, argv);
  } catch (const std::exception& e) {
    fmt::print(stderr, "bench_stages: {}\n", e.what());
    return 1;
  }
}
