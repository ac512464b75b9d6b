// The examples of headers in app/, pipelines/ and schedulers/noise, compiled and run on the default model: what they
// show line by line (manuals_test.cpp compares), with what they take for granted before it.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <dlfcn.h>
#include <gmock/gmock.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <vector>

#include "app/allocation.h"
#include "app/assets.h"
#include "app/attention_plan.h"
#include "app/bench/model_bench.h"
#include "app/bench/roofline.h"
#include "app/clip.h"
#include "app/clip_file.h"
#include "app/clip_values.h"
#include "app/commands/attention_bench.h"
#include "app/commands/info_system.h"
#include "app/compare/stale_clips.h"
#include "app/console.h"
#include "app/encoding_key.h"
#include "app/files/content_hash.h"
#include "app/files/kept_work.h"
#include "app/files/latents_file.h"
#include "app/files/model_identity.h"
#include "app/flag_names.h"
#include "app/flags.h"
#include "app/forecast.h"
#include "app/front_door.h"
#include "app/gpu_clock.h"
#include "app/interrupt.h"
#include "app/model_key.h"
#include "app/models.h"
#include "app/options.h"
#include "app/pace.h"
#include "app/peak_memory.h"
#include "app/record.h"
#include "app/render.h"
#include "app/reports/chart.h"
#include "app/reports/contact_sheet.h"
#include "app/reports/plan_pictures.h"
#include "app/reports/scene.h"
#include "app/step_clock.h"
#include "attention/attention.h"
#include "base/error.h"
#include "base/printable.h"
#include "base/standard_streams.h"
#include "base/written_file.h"
#include "pipelines/checkpoint/made_up.h"
#include "pipelines/checkpoint/safetensors.h"
#include "pipelines/cogvideox/block.h"
#include "pipelines/cogvideox/clip_denoising.h"
#include "pipelines/cogvideox/cost.h"
#include "pipelines/cogvideox/elementwise.h"
#include "pipelines/cogvideox/elementwise_cuda.h"
#include "pipelines/cogvideox/guidance.h"
#include "pipelines/cogvideox/pipeline.h"
#include "pipelines/cogvideox/positions.h"
#include "pipelines/cogvideox/request.h"
#include "pipelines/cogvideox/transformer.h"
#include "pipelines/cogvideox/vae.h"
#include "pipelines/cogvideox/vae_coders.h"
#include "pipelines/layers/cuda/cuda_rows.h"
#include "pipelines/layers/quantized_linear.h"
#include "pipelines/layers/rows/rows.h"
#include "pipelines/layers/work_clock.h"
#include "pipelines/model/calibrating_attention.h"
#include "pipelines/model/device.h"
#include "pipelines/model/machine_memory.h"
#include "pipelines/model/wait_for.h"
#include "pipelines/text/tokenizer.h"
#include "tests/app/program.h"
#include "tests/error_text.h"
#include "tests/examples_folder.h"
#include "tests/files.h"
#include "tests/schedulers/precision/measurements.h"

namespace bitreel::test {
namespace {

namespace fs = std::filesystem;

class Examples : public ExamplesFolder {
 protected:
  // A clip of one step.
  static Render short_clip() {
    GenerateOptions options;
    options.prompt = "a red circle moves right on a navy background";
    options.device = DeviceChoice::cpu;
    options.steps = 1;
    options.seed = 1;
    options.attention = "int8";
    options.output = "clip.mkv";
    return resolve_to_video(options);
  }
};

struct CountedFrames {
  int count = 0;
  void push(const Frame& frame) { count += frame.width > 0 ? 1 : 0; }
};

TEST_F(Examples, OfTheSeam) {
  CountedFrames video;
  // All steps of the default model would take half a minute: a tiny one takes its place.
  fs::create_directories("tiny/assets");
  fs::create_directory_symlink(repository() / tiny_model, "tiny/assets/pocket");
  fs::current_path("tiny");
  const std::unique_ptr<Pipeline> model = open_cogvideox(Checkpoint::open("assets/pocket"), {});
  Request request = model->default_request();
  request.prompt = "a red circle moves right on a navy background";
  model->check(request);
  const NamedTensors embeddings = model->encode(request);
  const NamedTensors latents = model->denoise(request, embeddings);
  model->decode(request, latents, {.on_frame = [&](const Frame& frame) { video.push(frame); }});
  EXPECT_EQ(video.count, request.num_frames);
  {
    Request request = model->default_request();
    request.prompt = "a red circle moves right on a navy background";
    model->check(request);
  }
  {
    std::map<std::string, NamedTensors> encoded;
    const auto [of_request, is_new] = encoded.try_emplace(encoding_key(request));
    if (is_new) of_request->second = model->encode(request);
    EXPECT_EQ(encoded.size(), 1U);
  }
  std::optional<DenoisingState> kept;
  const auto keep = [&](const DenoisingState& state) {
    if (!kept) kept = state;
  };
  model->denoise(request, embeddings, {.on_step = [&](const StepEvent& event) { keep(event.state()); }});
  model->denoise(request, embeddings, {.from = kept});

  const Cost cost = model->cost(request);
  const double flop = static_cast<double>(cost.layers) * attention_flop(cost.attention);
  const double peak = std::max({cost.encode.bytes(), cost.denoise.bytes(), cost.decode.bytes()});
  EXPECT_GT(flop, 0);
  EXPECT_GT(peak, 0);
}

TEST_F(Examples, OfTheModelsOwnHeaders) {
  CountedFrames video;
  CogVideoX model(Checkpoint::open("assets/pocket"), {.dtype = at::kFloat});
  Request request = model.default_request();
  request.prompt = "a red circle moves right on a navy background";
  request.steps = 2;
  const NamedTensors latents = model.denoise(request, model.encode(request));
  model.decode(request, latents, {.on_frame = [&](const Frame& frame) { video.push(frame); }});
  EXPECT_EQ(video.count, 25);

  const Checkpoint& checkpoint = model.checkpoint();
  const CogVideoXConfig config = read_config(checkpoint);
  {
    Request request = default_request(config);
    request.prompt = "a red circle moves right on a navy background";
    check(request, config);
    const Cost cost = cost_of(request, config, {.dtype = at::kFloat, .device = at::kCPU});
    const double flop = cost.denoise.product_flop + cost.denoise.attention_flop;
    EXPECT_GT(flop, 0);
  }
  {
    const at::Device device = resolve_device(DeviceChoice::automatic);
    const RunOptions options{.dtype = default_dtype(checkpoint.weights("transformer"), device), .device = device};
    EXPECT_THAT(options.dtype, testing::AnyOf(at::kBFloat16, at::kFloat));  // the weights', or what this CPU is fast at
    const std::shared_ptr<Pipeline> model = open_pipeline(Checkpoint::open("assets/pocket"), {.dtype = at::kFloat});
    EXPECT_EQ(model->traits().denoiser, "transformer");
  }
}

TEST_F(Examples, OfAFolderUsedAgain) {
  fs::create_directories("out/compare/int8");
  write_text("out/compare/int8/clip-007.facts.json", "{}");
  refuse_stale_clips("out/compare", {.variants = {"full", "int8"}, .prompts = 8});
  EXPECT_THROW(refuse_stale_clips("out/compare", {.variants = {"full", "int8"}, .prompts = 7}), Error);
  EXPECT_THROW(refuse_stale_clips("out/compare", {.variants = {"full"}, .prompts = 8}), Error);
}

TEST_F(Examples, OfWaiting) {
  const at::Tensor q = at::zeros({1});
  wait_for(q.device());
}

TEST_F(Examples, OfAttentionInLayers) {
  const Render render = short_clip();
  Pipeline& model = *render.model;
  const Request& request = render.request;
  const NamedTensors embeddings = model.encode(request);
  const Plan plan = resolve_attention(render, identify(model));
  const auto log = [](const GuardEvent&) {};
  {
    Plan guarded = plan;
    guarded.bound = 1;
    const Plan& plan = guarded;
    PlannedAttention planned(plan, {.guard = GuardOptions{.every = 5}, .on_event = log});
    model.denoise(request, embeddings, {.attention_of_step = std::ref(planned)});
    planned.executed();
    EXPECT_EQ(planned.executed().size(), 1U);
  }
  {
    PlannedAttention planned(plan, {});
    const Checkpoint& checkpoint = model.checkpoint();
    const TransformerConfig config = read_config(checkpoint).transformer;
    const Transformer transformer(checkpoint.weights("transformer"), config, {.dtype = at::kFloat});
    const Conditioning conditioning =
        transformer.condition(at::randn({1, 226, config.text_embed_dim}), {.frames = 1, .height = 4, .width = 4});
    const at::Tensor latents = at::randn({1, 1, config.in_channels, 4, 4});
    transformer(latents, conditioning, {.timestep = 999, .attention = full_attention("reference")});
    const StepAttention of_step = [&](const DenoisingStep& step) { return planned(step); };
    model.denoise(request, embeddings, {.attention_of_step = of_step});
  }
  MeasurementDesign design = MeasurementDesign::whole(target_of(render, identify(model)), "a device",
                                                      model.cost(request).attention, {Precision::int8});
  design.layers = {0};
  Measurement measurement(design);
  CalibratingAttention calibrating(design, {.text = "a red circle", .seed = 7});
  model.denoise(request, embeddings, {.attention_of_step = std::ref(calibrating)});
  measurement.add(calibrating.errors());
  EXPECT_EQ(measurement.prompts().size(), 1U);
}

TEST_F(Examples, OfTheTransformer) {
  const c10::InferenceMode no_gradients;
  const Checkpoint checkpoint = Checkpoint::open("assets/pocket");
  const TransformerConfig config = read_config(checkpoint).transformer;
  const at::Tensor text = at::randn({1, 226, config.text_embed_dim});
  const at::Tensor latents = at::randn({1, 7, config.in_channels, 32, 32});
  const Transformer transformer(checkpoint.weights("transformer"), config, {.dtype = at::kFloat});
  const Conditioning conditioning = transformer.condition(text, {.frames = 7, .height = 32, .width = 32});
  at::Tensor v = transformer(latents, conditioning, {.timestep = 999});
  EXPECT_EQ(v.sizes(), latents.sizes());
  {
    const at::Tensor modulations = transformer.modulations({999, 499});
    v = transformer(latents, conditioning, {.modulation = modulations.narrow(0, 1, 1)});
    EXPECT_TRUE(at::allclose(v, transformer(latents, conditioning, {.timestep = 499}), 1e-4, 1e-5));
  }
  transformer(latents, conditioning, {.timestep = 999, .attention = full_attention("reference")});
  const Rotary rotary = rotary_positions(config, 13, 30, 45);
  at::Tensor table = sincos_positions(config, 13, 30, 45);
  EXPECT_EQ(rotary.cos.size(0), table.size(0));
}

TEST_F(Examples, OfOneClipInABatch) {
  const c10::InferenceMode no_gradients;
  CogVideoX model(Checkpoint::open("assets/pocket"), {.dtype = at::kFloat});
  Request request = model.default_request();
  request.prompt = "a red circle moves right on a navy background";
  request.steps = 2;
  const Denoising denoising{.request = request, .embeddings = model.encode(request)};
  const CogVideoXConfig& config = model.config();
  const at::ScalarType dtype = model.dtype();
  const at::Device device = model.options().device;
  const auto transformer = std::make_unique<Transformer>(model.checkpoint().weights("transformer"), config.transformer,
                                                         LoadOptions{.dtype = dtype, .device = device});
  const ClipDenoising other(denoising, config,
                            {.shapes = model.latent_shapes(request), .dtype = dtype, .device = device});
  const Conditioning conditioning = transformer->condition(other.text(), {.frames = 7, .height = 32, .width = 32});
  ClipDenoising clip(denoising, config, {.shapes = model.latent_shapes(request), .dtype = dtype, .device = device});
  const at::Tensor modulations = transformer->modulations(model.timesteps(request));
  for (const DenoisingStep& step : clip.steps_left()) {
    const at::Tensor modulation = modulations.narrow(0, step.index, 1);
    clip.advance(step, (*transformer)(clip.input(), conditioning, {.modulation = modulation}));
  }
  const NamedTensors latents = clip.latents();
  EXPECT_TRUE(at::equal(latents.at("latents"), model.denoise(request, denoising.embeddings).at("latents")));
}

TEST_F(Examples, OfABlock) {
  const c10::InferenceMode no_gradients;
  const Checkpoint checkpoint = Checkpoint::open("assets/pocket");
  const TransformerConfig config = read_config(checkpoint).transformer;
  Loader loader(checkpoint.weights("transformer"), {.dtype = at::kFloat});
  const Scope scope = loader.root() / "transformer_blocks" / 0 / "attn1";
  at::Tensor x = at::randn({1, 226 + 4, 256});
  {
    const Linear to_q(scope / "to_q", 256, 256);
    const at::Tensor q = to_q(x);
    EXPECT_EQ(q.sizes(), x.sizes());
  }
  const std::int64_t text_tokens = 226;
  const at::Tensor time = at::randn({1, config.time_embed_dim});
  const Rotary rotary = rotary_positions(config, 1, 2, 2);
  const TransformerBlock block(loader.root() / "transformer_blocks" / 0, config, Elementwise::fused);
  const std::int64_t step = 0;
  Residual residual{.x = x};
  const at::Tensor modulation = block.modulation(time);
  residual = block(std::move(residual), modulation.narrow(0, step, 1), text_tokens, rotary,
                   {.layer = 0, .attention = full_attention()});
  x = sum_of(residual, Elementwise::fused);
  EXPECT_EQ(x.size(1), 230);

  const LayerNorm norm(loader.root() / "norm_final", 256, 1e-5);
  const Modulation text{
      .shift = at::zeros({1, 1, 256}), .scale = at::zeros({1, 1, 256}), .gate = at::ones({1, 1, 256})};
  const Modulation& video = text;
  const Modulations modulations{.text = text, .video = video, .text_tokens = 226};
  const at::Tensor h = modulated_norm(norm, x, modulations, Elementwise::fused);
  EXPECT_EQ(h.sizes(), x.sizes());

  const Request request;
  const std::int64_t timestep = 999;
  const at::Tensor predictions = at::randn({2, 3});
  const at::Tensor prediction = guided(predictions, guidance_at(request, step, timestep));
  EXPECT_EQ(prediction.size(0), 1);

  std::vector<Bf16> values(16);
  Bf16* const hidden = values.data();
  const std::int64_t count = 16;
  const RowKernels<Bf16>& rows = row_kernels<Bf16>();
  rows.gelu_tanh(hidden, count);
}

TEST_F(Examples, OfTextAndVae) {
  const c10::InferenceMode no_gradients;
  const fs::path folder = "assets/pocket";
  const Checkpoint checkpoint = Checkpoint::open("assets/pocket");
  {
    const T5Config config = read_config(checkpoint).text_encoder;
    const T5Tokenizer tokenizer = T5Tokenizer::open(folder / "tokenizer");
    const TokenIds tokens = tokenizer.encode("a red circle", 226);
    const at::Tensor ids = at::tensor(tokens.ids, at::TensorOptions(at::kLong)).unsqueeze(0);
    const T5Encoder encoder(checkpoint.weights("text_encoder"), config, {.dtype = at::kFloat});
    at::Tensor embeddings = encoder(ids);
    EXPECT_EQ(embeddings.size(1), 226);
  }
  const VaeConfig config = read_config(checkpoint).vae;
  {
    Loader loader(checkpoint.weights("vae"), {.dtype = at::kFloat});
    loader.ignore("encoder.");
    const VaeDecoder decoder(loader.root() / "decoder", config, Elementwise::fused);
    loader.finish();
  }
  int shown = 0;
  const auto show = [&](const at::Tensor&) { ++shown; };
  const at::Tensor latents = at::randn({1, config.latent_channels, 1, 4, 4});
  const Vae vae(checkpoint.weights("vae"), config, {.dtype = at::kFloat}, VaeParts::decoder);
  vae.decode(latents, {}, [&](const at::Tensor& frames) { show(frames); });
  EXPECT_EQ(shown, 1);
}

TEST_F(Examples, OfCheckpoints) {
  fs::create_directory_symlink(fs::absolute("assets/pocket"), "CogVideoX-2b");
  const Checkpoint checkpoint = Checkpoint::open("CogVideoX-2b");
  const nlohmann::json config = checkpoint.config("transformer");
  const Weights weights = checkpoint.weights("transformer");
  EXPECT_EQ(config["num_layers"], 8);
  {
    const fs::path folder = "assets/pocket";
    const Weights weights = Weights::open(folder / "transformer");
    const at::Tensor w = weights.get("proj_out.weight", {32, 256});
    EXPECT_EQ(w.scalar_type(), at::kBFloat16);
  }
  const at::Tensor latents = at::ones({2});
  write_safetensors("model.safetensors", {{"weight", latents}}, {});
  const SafetensorsFile file = SafetensorsFile::open("model.safetensors");
  at::Tensor w = file.tensor("weight");
  write_safetensors("latents.safetensors", {{"latents", latents}}, {{"seed", "42"}});
  EXPECT_TRUE(at::equal(w, latents));
}

TEST_F(Examples, OfOptions) {
  {
    with_flags("`num_frames` 42: this model makes 8n+1 frames");  // --num-frames 42: this model makes 8n+1 frames
  }
  const fs::path file = write_text("./clip.yaml", "steps: 30\n");
  {
    GenerateOptions options;
    options.prompt = prompt_from("a red circle", "--prompt");
    options.fps = fps_from("24000/1001", "--fps");
    EXPECT_NEAR(options.fps.value(), 23.976, 1e-3);
  }
  {
    GenerateOptions options;
    apply_yaml(options, "clip.yaml");
    setting("steps").set(options, "40", "--steps");
    std::cout << to_yaml(options);
    EXPECT_EQ(options.steps, 40);
  }
  {
    GenerateOptions options;
    options.prompt = "a red circle moves right on a navy background";
    const Render render = resolve_to_video(options);
    std::cout << to_yaml(render.options);
    int runs = 0;
    const auto run = [&](const Render& one) { runs += one.request.steps > 0 ? 1 : 0; };
    const std::vector<GenerateOptions> clips = {options, options};
    const std::shared_ptr<Pipeline> model = open_model(options);
    for (const GenerateOptions& clip : clips) run(resolve(clip, model));
    EXPECT_EQ(runs, 2);
    std::map<std::string, std::shared_ptr<Pipeline>> opened;
    {
      std::shared_ptr<Pipeline>& model = opened[model_key(options)];
      if (model == nullptr) model = open_model(options);
    }
    EXPECT_EQ(opened.size(), 1U);
  }
  CLI::App app;
  CLI::App* const command = app.add_subcommand("clip");
  const auto flags = std::make_shared<Flags>(*command, [](const Setting&) { return true; });
  command->callback([=] {
    GenerateOptions options;
    apply_yaml(options, file);
    flags->apply(options);
  });
  app.parse("clip --steps 50", false);
  GenerateOptions typed;
  flags->apply(typed);
  EXPECT_EQ(typed.steps, 50);
}

TEST_F(Examples, OfAClipsRun) {
  const Render render = short_clip();
  Console console(ProgressStyle::automatic);
  const ModelIdentity identity = identify(*render.model);
  identity.files;
  identity.denoiser;
  EXPECT_EQ(identity.denoiser.size(), 64U);
  const NamedTensors embeddings = render.model->encode(render.request);
  {
    const Plan plan = resolve_attention(render, identity);
    AttendReport report = fallback_warnings(console);
    PlannedAttention planned(plan, planned_options(render, plan, console, report));
    render.model->denoise(render.request, embeddings, {.attention_of_step = std::ref(planned)});
    const auto record = attention_record(render, plan, planned, report.rows());
    EXPECT_EQ(record["executed"].size(), 1U);
  }
  const Plan plan = resolve_attention(render, identity);
  const std::set<Phase> all = {Phase::encode, Phase::denoise, Phase::decode};
  const std::string warning = check_memory(render, all, machine_memory(render.model->options().device));
  const Forecast forecast = forecast_of(render, plan, {.steps_done = 0});
  console.say(forecast.text, "plan", forecast.fields);
  EXPECT_EQ(warning, "");
  NamedTensors latents;
  const auto keep = [&](const NamedTensors& kept, const ClipRecord&) { latents = kept; };
  DecodeSink sink;
  {
    const auto on_denoised = [&](const NamedTensors& latents, const ClipRecord& so_far) {
      keep(latents, so_far);
      return sink;
    };
    const ClipRecord record =
        run_clip(render, console, {.identity = identity, .plan = &plan, .on_denoised = on_denoised});
    EXPECT_EQ(record.executed.size(), 1U);
  }
  {
    const auto on_denoised = [&](const NamedTensors&, const ClipRecord&) { return sink; };
    RunningClip clip(render, console, {.identity = identity, .plan = &plan});
    clip.encode();
    denoise({&clip});
    const ClipRecord record = clip.decode(on_denoised);
    EXPECT_EQ(record.executed.size(), 1U);
  }
  {
    const ClipRecord record = record_of(render, identity);
    ClipFile file(render, record, console);
    render.model->decode(render.request, latents, file.sink());
    file.finish(record);
    EXPECT_TRUE(fs::exists("clip.mkv"));
  }
  {
    const fs::path path = "other.mkv";
    const VideoOptions options;
    const int width = 16, height = 16;
    const std::vector<std::uint8_t> black(std::size_t{3} * width * height);
    const std::vector<Frame> frames = {{black.data(), width, height}};
    ClipRecord record = record_of(render, identify(*render.model));
    VideoWriter video(path, options, width, height, provenance(render, record));
    for (const Frame& frame : frames) video.push(frame);
    video.finish(outcome(record));
    EXPECT_TRUE(fs::exists("other.mkv"));
  }
  const ClipRecord record = record_of(render, identity);
  {
    write_latents("clip.latents.safetensors", latents, render.options, record);
    const LatentsFile file = read_latents("clip.latents.safetensors");
    EXPECT_EQ(file.model, record.model);
  }
  const LatentsFile from;
  fs::remove("clip.latents.safetensors");  // of the example above: kept work
  refuse_kept_work(render.options);
  UnfinishedOnDisk unfinished(render, console, from);
  const auto on_step = [&](const StepEvent& event, const ClipRecord& so_far) { unfinished.keep(event, so_far); };
  run_clip(render, console, {.identity = identity, .plan = &plan, .on_step = on_step});
  const LatentsOnDisk saved(latents, render, record, console);
  unfinished.remove();
  EXPECT_TRUE(fs::exists("clip.latents.safetensors"));
  EXPECT_FALSE(fs::exists("clip.unfinished.safetensors"));
}

TEST_F(Examples, OfPaceAndMemory) {
  prepare_allocation();
  {
    StepClock clock(50);
    clock.step(12);
    clock.seconds_a_step();
    clock.seconds_left();
    EXPECT_DOUBLE_EQ(clock.seconds_left(), 38 * clock.seconds_a_step());
  }
  const Render render = short_clip();
  const Plan plan = resolve_attention(render, identify(*render.model));
  const Cost cost = render.model->cost(render.request);
  const Pace pace = measure_pace(cost, {.dtype = at::kFloat, .precisions = {Precision::full, Precision::int8}});
  const double seconds = denoise_seconds(cost, pace, plan, 0);
  EXPECT_GT(seconds, 0);
  const c10::Device device = at::kCPU;
  const PeakMemory peak(device);
  peak.host_bytes();
  peak.device_bytes();
  EXPECT_GT(peak.host_bytes(), 0);
  EXPECT_EQ(peak.device_bytes(), 0);
  const MachineMemory memory = machine_memory(render.model->options().device);
  const double share = memory.available / memory.total;
  EXPECT_LE(share, 1);
  const std::filesystem::path model = asset("assets/pocket");
  EXPECT_TRUE(fs::exists(model / "model_index.json"));
  fs::create_directory("transformer");
  write_text("transformer/diffusion_pytorch_model.safetensors", "abc");
  const std::string hash = content_hash("transformer/diffusion_pytorch_model.safetensors");
  EXPECT_EQ(hash, hash_of_text("abc"));
}

TEST_F(Examples, OfTheFrontDoor) {
  const fs::path output = "clips";
  need_whole_program();  // what comes next must not happen twice
  fs::create_directories(output);
  EXPECT_TRUE(fs::is_directory(output));
}

TEST_F(Examples, OfTheGpuClock) {
  if (const std::string& obstacle = cuda_obstacle(); !obstacle.empty()) GTEST_SKIP() << obstacle;
  const c10::Device device = at::kCUDA;
  const at::Tensor q = at::randn({1, 2, 128, 64}, at::TensorOptions(device).dtype(at::kHalf)), k = q, v = q;
  const AttendOptions options;
  at::Tensor out;
  GpuClock clock(device);
  const GpuTiming timing = clock.time([&] { out = attend(q, k, v, options); });
  EXPECT_GT(timing.seconds, 0);
}

TEST_F(Examples, OfTheConsole) {
  print_output(printable_lines(describe_system()));
  Console console(ProgressStyle::automatic);
  console.begin("denoise", 50);
  console.step(12);
  console.begin("decode", 25, 0, "frame");
  console.warn("the prompt was cut");
  console.end();
  EXPECT_EQ(console.warnings().size(), 1U);
  console.show({"[1/8 star] 12/50", "[2/8 ring] 3/50"});
  console.tell("step", {{"job", 0}, {"step", 12}});
  const int latents = 1;
  int kept = 0;
  const auto keep = [&](int latents) { kept = latents; };
  watch_interrupts();
  check_interrupt("no video was written");
  if (interrupt_requested()) keep(latents);
  EXPECT_EQ(kept, 0);
}

TEST_F(Examples, OfReports) {
  {
    Chart chart("Title", {.label = "step", .least = 0, .most = 30}, {.label = "error", .least = 0, .most = 0.2});
    chart.curve({{0, .1}, {1, .2}}, {.name = "int4", .colour = {0, 114, 178}});
    const Scene scene = chart.finish();
    EXPECT_GT(scene.width, 0);
  }
  Scene scene{.width = 640, .height = 360};
  scene.add(Box{.x = 10, .y = 10, .width = 80, .height = 40, .fill = {0, 114, 178}});
  scene.add(Words{.x = 320, .y = 20, .text = "score", .anchor = Anchor::middle});
  write_whole("a.svg", to_svg(scene));
  write_whole("a.png", to_png(scene));
  const std::vector<cv::Mat> frames(25, cv::Mat(32, 32, CV_8UC3, cv::Scalar(200, 0, 0)));
  ContactSheet sheet;
  sheet.add(frames, {{"a red circle moves right", Verdict::plain}, {"red circle right", Verdict::right}});
  sheet.save("sheet.png");
  const Measurement measurement =
      measure({.design = design_of(2, 5, {Precision::int8, Precision::int4}),
               .seconds = {{Precision::full, 0.004}, {Precision::int8, 0.002}, {Precision::int4, 0.001}},
               .errors = [](const CellKey&, int) { return off_by(0.01); },
               .prompts = 2});
  const Planner planner(measurement);
  const PlannedTable table = planner.share({.eight_bit = 0.3});
  write_whole("scores.svg", to_svg(score_map(planner, Precision::int4)));
  write_whole("pareto.png", to_png(pareto_chart(planner, table)));
  for (const char* name : {"a.svg", "a.png", "sheet.png", "scores.svg", "pareto.png"}) EXPECT_TRUE(fs::exists(name));
}

TEST_F(Examples, OfTheBench) {
  write_text("configs/bench/attention.yaml",
             "rounds: 1\nbaselines: [fp32]\nprecisions: [int8]\nbackends: [cpu-scalar]\n"
             "cases:\n  - {name: small, shape: [1, 2, 100, 40], dtype: bf16}\n");
  int cases = 0;
  const auto on_case = [&](const nlohmann::ordered_json&) { ++cases; };
  const AttentionBench bench = read_attention_bench("configs/bench/attention.yaml");
  const nlohmann::ordered_json results = run_attention_bench(bench, on_case);
  std::cout << attention_table(results);
  EXPECT_EQ(cases, 1);
}

TEST_F(Examples, OfTheModelBench) {
  write_text("configs/bench/step.yaml",
             "rounds: 1\nvariants: {full: {}}\ncases:\n"
             "  - {name: small, model: assets/pocket, layers: 1, width: 32, height: 32, num_frames: 9}\n");
  int cases = 0;
  const auto on_case = [&](const nlohmann::ordered_json&) { ++cases; };
  const ModelBench bench = read_model_bench("configs/bench/step.yaml");
  const nlohmann::ordered_json results = run_model_bench(bench, Phase::denoise, on_case);
  std::cout << model_table(results);
  EXPECT_EQ(cases, 1);

  const Roofline roofline = measure_roofline(at::kCPU, at::kFloat);
  const double floor = roofline.seconds_at_least({.name = "products", .flop = 2e12, .bytes = 3e9});
  EXPECT_GE(floor, 2e12 / roofline.flop_per_second);
}

TEST_F(Examples, OfLinearLayersInEightBits) {
  const LinearOptions linear{.precision = LinearPrecision::fp8};
  linear_library(linear, at::kCUDA, at::kBFloat16);
  EXPECT_EQ(linear_library(linear, at::kCPU, at::kBFloat16), "plain");
  const at::Tensor weight = at::randn({16, 32}), bias = at::randn({16});
  const at::Tensor x = at::randn({4, 32});
  const QuantizedLinear map(weight, {.precision = LinearPrecision::int8});
  const at::Tensor y = map(x, bias);
  {
    const QuantizedRows rows = quantize_rows(x, {LinearPrecision::fp8, 448});
    EXPECT_EQ(rows.scales.sizes(), at::IntArrayRef({4, 1}));
    const at::Tensor same = map(quantize_rows(x, map.row_format()), bias);
    EXPECT_TRUE(at::equal(same, y));
  }
  QuantizedRows rows;
  if (cuda::rows_take(x)) rows = cuda::quantize_rows(x, LinearPrecision::fp8, 448);
  EXPECT_FALSE(rows.values.defined()) << "x is on the CPU";
}

// Compiled, as they need a GPU: tests/pipelines/cogvideox/elementwise_test.cpp runs what they show on one.
[[maybe_unused]] at::Tensor on_a_gpu(void* handle, const at::Tensor& x, const at::Tensor& update,
                                     const Modulations& modulations, const cuda::GatedAddCall& call) {
  using cuda::check_rows;
  const auto entry = reinterpret_cast<cuda::RowsEntry>(dlsym(handle, cuda::rows_entry));
  const cuda::RowsPlugin* rows = entry(cuda::rows_version);
  EXPECT_NE(rows, nullptr);
  check_rows(cuda::loaded_rows().gated_add(call, cuda::current_stream(x)), "gated add");
  if (on_cuda::takes_rows(x)) return on_cuda::gated_add(x, update, modulations);
  return x;
}

TEST_F(Examples, OfMadeUpWeightsAndTheWorkClock) {
  const Checkpoint checkpoint = Checkpoint::open("assets/pocket");
  const Weights random = Weights::made_up("transformer", 7);
  EXPECT_TRUE(random.names().empty());
  const Checkpoint benchmarked = checkpoint.made_up(7, {{"transformer", {{"num_layers", 2}}}});
  const std::unique_ptr<Pipeline> model = open_cogvideox(benchmarked, {.dtype = at::kFloat});
  Request request = model->default_request();
  request.num_frames = 9;
  request.width = request.height = 32;
  const NamedTensors latents = {{"latents", at::randn(model->latent_shapes(request).at("latents"))}};
  const DecodeSink sink{.on_frame = [](const Frame&) {}};
  WorkClock clock(at::kCPU);
  {
    const WorkClock::Listening listening(clock);
    model->decode(request, latents, sink);
  }
  clock.seconds();
  EXPECT_GT(clock.seconds().at("convolution"), 0);
  EXPECT_FALSE(clock.seconds().contains("attention"));
  const TransformerConfig config = read_transformer_config(benchmarked.config("transformer"));
  {
    const Weights weights = Weights::made_up("transformer", 7);
    const Transformer transformer(weights, config, {.dtype = at::kFloat});
  }
  const at::Tensor q = at::randn({1, 1, 4, 64}), k = q, v = q;
  {
    const WorkClock::Listening listening(clock);
    const at::Tensor y = timed("attention", [&] { return attend(q, k, v); });
    EXPECT_EQ(y.sizes(), q.sizes());
  }
  EXPECT_TRUE(clock.seconds().contains("attention"));
}

}  // namespace
}  // namespace bitreel::test
