// What a clip costs, against what checkpoints hold and what the formulas of its largest parts give.
#include "pipelines/cogvideox/cost.h"

#include <c10/util/accumulate.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "base/json_file.h"
#include "pipelines/checkpoint/checkpoint.h"
#include "pipelines/cogvideox/block.h"
#include "pipelines/cogvideox/request.h"

namespace bitreel {
namespace {

// Numbers in the tensors whose names begin so.
double numbers_in(const Weights& weights, const std::string& prefix = "") {
  std::int64_t count = 0;
  for (const std::string& name : weights.names()) {
    if (name.starts_with(prefix)) count += c10::multiply_integers(weights.info(name).shape);
  }
  return static_cast<double>(count);
}

class CostOfAModel : public testing::TestWithParam<std::string> {
 protected:
  Checkpoint checkpoint = Checkpoint::open(GetParam());
  CogVideoXConfig config = read_config(checkpoint);
};

TEST_P(CostOfAModel, CountsTheParametersThatItsFilesHold) {
  EXPECT_EQ(parameters_of(config.text_encoder), numbers_in(checkpoint.weights("text_encoder")));
  EXPECT_EQ(parameters_of(config.transformer), numbers_in(checkpoint.weights("transformer")));
  EXPECT_EQ(decoder_parameters_of(config.vae), numbers_in(checkpoint.weights("vae"), "decoder."));
}

INSTANTIATE_TEST_SUITE_P(Models, CostOfAModel,
                         testing::Values("assets/pocket", "tests/golden/cog2b/model", "tests/golden/cog5b/model",
                                         "tests/golden/cog15/model"),
                         [](const auto& info) { return "model_" + std::to_string(info.index); });

TEST(Cost, OfAPublishedClipIsWhatItsFormulasGive) {
  const CogVideoXConfig two_b;
  const Request request = default_request(two_b);
  const Cost cost = cost_of(request, two_b, {.dtype = at::kBFloat16});
  EXPECT_EQ(tokens_text(cost), "226 text + 17550 video tokens");
  const double tokens = 2 * 17'776.0, dim = 1920, layers = 30;
  EXPECT_DOUBLE_EQ(cost.denoise.attention_flop, layers * 4 * tokens * 17'776 * dim);
  const double blocks = layers * tokens * 2 * 12 * dim * dim;  // q, k, v, out and the feed-forward
  EXPECT_GT(cost.denoise.product_flop, blocks);
  EXPECT_LT(cost.denoise.product_flop, 1.01 * blocks) << "what is left is patches, projections and modulation";
  // Six convolutions at full resolution from 256 or 128 to 128 channels are the larger part of the decoder.
  const double full_size = 2 * 27 * 49.0 * 480 * 720 * 128 * (256 + 7 * 128);
  EXPECT_GT(cost.decode.product_flop, full_size);
  EXPECT_LT(cost.decode.product_flop, 4 * full_size);
}

// Benchmarks divide a phase's time by these.
TEST(Cost, OfAPhaseIsThatOfItsWorks) {
  for (const bool fives : {false, true}) {
    CogVideoXConfig config;
    config.transformer.use_rotary_positional_embeddings = fives;
    const Cost cost = cost_of(default_request(config), config, {.dtype = at::kBFloat16, .device = at::kCUDA});
    for (const PhaseCost& phase : {cost.denoise, cost.decode}) {
      double flop = 0, bytes = 0;
      for (const Work& work : phase.works) {
        flop += work.flop;
        bytes += work.bytes;
        EXPECT_GT(work.bytes, 0) << work.name;
      }
      EXPECT_NEAR(flop / (phase.product_flop + phase.attention_flop), 1, 1e-12);
      EXPECT_GT(bytes, phase.weight_bytes) << "every weight is read once a step";
    }
  }
}

TEST(Cost, HalvesWithoutGuidanceAndFollowsTheSize) {
  const CogVideoXConfig two_b;
  Request request = default_request(two_b);
  const Cost guided = cost_of(request, two_b, {.dtype = at::kBFloat16});
  request.guidance_scale = 1;
  const Cost plain = cost_of(request, two_b, {.dtype = at::kBFloat16});
  EXPECT_DOUBLE_EQ(2 * plain.denoise.attention_flop, guided.denoise.attention_flop);
  EXPECT_DOUBLE_EQ(2 * plain.denoise.product_flop, guided.denoise.product_flop);
  EXPECT_DOUBLE_EQ(plain.decode.product_flop, guided.decode.product_flop);
  EXPECT_EQ(plain.attention.batch, 1);
  request.height /= 2;
  const Cost half = cost_of(request, two_b, {.dtype = at::kBFloat16});
  EXPECT_DOUBLE_EQ(2 * half.decode.product_flop, plain.decode.product_flop);
  EXPECT_LT(half.decode.bytes(), plain.decode.bytes());
}

TEST(Cost, CountsBytesInTheRunsDtypeAndOnItsDevice) {
  const CogVideoXConfig two_b;
  const Request request = default_request(two_b);
  const Cost full = cost_of(request, two_b, {.dtype = at::kFloat});
  const Cost half = cost_of(request, two_b, {.dtype = at::kHalf});
  EXPECT_DOUBLE_EQ(full.denoise.bytes(), 2 * half.denoise.bytes());
  const Cost packed = cost_of(request, two_b, {.dtype = at::kBFloat16});
  EXPECT_DOUBLE_EQ(packed.denoise.weight_bytes, 2 * half.denoise.weight_bytes) << "bf16 matrices are packed on a CPU";
  const Cost on_gpu = cost_of(request, two_b, {.dtype = at::kBFloat16, .device = at::kCUDA});
  EXPECT_DOUBLE_EQ(on_gpu.denoise.weight_bytes, half.denoise.weight_bytes);
}

TEST(Cost, EightBitWeightsAreAByteEach) {
  const CogVideoXConfig two_b;
  const Request request = default_request(two_b);
  const Cost full = cost_of(request, two_b, {.dtype = at::kBFloat16, .device = at::kCUDA});
  const Cost eight =
      cost_of(request, two_b, {.dtype = at::kBFloat16, .device = at::kCUDA, .linear = {LinearPrecision::fp8}});
  EXPECT_DOUBLE_EQ(full.denoise.weight_bytes - eight.denoise.weight_bytes, 30.0 * 12 * 1920 * 1920);
}

CogVideoXConfig published(const std::string& model) {
  return read_config(Checkpoint::open("configs/models/" + model));
}

constexpr double gib = 1024.0 * 1024 * 1024;

TEST(Cost, OffloadedLayersLeaveTwoOnTheDevice) {
  const CogVideoXConfig five_b = published("CogVideoX-5b");
  const Request request = default_request(five_b);
  const auto cost = [&](Offload offload) {
    return cost_of(request, five_b, {.dtype = at::kBFloat16, .device = at::kCUDA, .offload = offload});
  };
  const Cost none = cost(Offload::none), model = cost(Offload::model), layers = cost(Offload::layers);
  EXPECT_DOUBLE_EQ(model.denoise.weight_bytes, none.denoise.weight_bytes) << "of a phase that works";
  const double dim = 3072, time = 512;
  const double block = 12 * dim * dim + 9 * dim + 2 * (6 * dim * (time + 1) + 2 * dim) + 4 * 64;
  EXPECT_DOUBLE_EQ(none.denoise.weight_bytes - layers.denoise.weight_bytes, 2 * 40 * block);
  const double text_block = 4 * 4096 * 4096 + 3 * 4096 * 10240 + 2 * 4096;
  EXPECT_DOUBLE_EQ(none.encode.weight_bytes - layers.encode.weight_bytes, 2.0 * 21 * text_block)
      << "one is being loaded";
  EXPECT_EQ(layers.decode.bytes(), none.decode.bytes());
  EXPECT_EQ(layers.denoise.activation_bytes, none.denoise.activation_bytes);
}

TEST(Cost, WeightsInEightBitsFitAFiveBIntoTwelveGib) {
  const CogVideoXConfig five_b = published("CogVideoX-5b");
  const Request request = default_request(five_b);
  RunOptions options{.dtype = at::kBFloat16, .device = at::kCUDA};
  EXPECT_GT(cost_of(request, five_b, options).denoise.bytes(), 12 * gib);
  options.linear.weights = WeightStorage::fp8;
  const Cost stored = cost_of(request, five_b, options);
  for (const PhaseCost& phase : {stored.encode, stored.denoise, stored.decode}) EXPECT_LT(phase.bytes(), 11 * gib);
  options.offload = Offload::layers;
  EXPECT_LT(cost_of(request, five_b, options).denoise.bytes(), 4 * gib);
}

// What an H200 held at the peak, in the files that README quotes; small cases are the libraries' more than ours.
TEST(Cost, OnAGpuIsWithinFifteenPercentOfWhatWasMeasured) {
  int checked = 0;
  for (const char* file : {"step-h200.json", "tokens-h200.json", "vae-h200.json", "offload-h200.json"}) {
    const nlohmann::json results = read_json(std::filesystem::path("configs/bench/results") / file);
    for (const nlohmann::json& row : results.at("cases")) {
      const std::string variant = row.at("variant");
      if (row.contains("error") || row.at("peak_device_bytes") < 1 * gib) continue;
      CogVideoXConfig config = published(row.at("model"));
      if (!row.at("layers").is_null()) config.transformer.num_layers = row.at("layers");
      Request request = default_request(config);
      request.width = row.at("size")[0];
      request.height = row.at("size")[1];
      request.num_frames = row.at("size")[2];
      const bool composed = variant == "composed", fp8 = variant.ends_with("fp8"),
                 channels_last = variant.ends_with("channels-last"), layers = variant.ends_with("layers"),
                 stored = variant.find("stored") != std::string::npos;
      const Cost cost =
          cost_of(request, config,
                  {.dtype = at::kBFloat16,
                   .device = at::kCUDA,
                   .elementwise = composed ? Elementwise::composed : Elementwise::fused,
                   .linear = {.precision = fp8 ? LinearPrecision::fp8 : LinearPrecision::full,
                              .weights = stored ? WeightStorage::fp8 : WeightStorage::full},
                   .vae_tiling = variant.starts_with("tiled") ? Tiling::on : Tiling::off,
                   .vae_layout = channels_last ? ConvolutionLayout::channels_last : ConvolutionLayout::planar,
                   .offload = layers ? Offload::layers : Offload::none});
      const bool norms_on_its_way = variant.starts_with("int8");
      const double denoising = cost.denoise.bytes() - (norms_on_its_way ? cost.denoise.normed_heads_bytes : 0);
      const double expected = results.at("phase") == "vae" ? cost.decode.bytes() : denoising;
      EXPECT_NEAR(expected / row.at("peak_device_bytes").get<double>(), 1, 0.15)
          << file << ' ' << row.at("name") << ' ' << row.at("size") << ' ' << variant;
      ++checked;
    }
  }
  EXPECT_GE(checked, 20);
}

TEST(TransformerBlock, ListsAllThatItHolds) {
  const Checkpoint checkpoint = Checkpoint::open("tests/golden/cog5b/model");
  TransformerConfig config = read_config(checkpoint).transformer;
  // In fp16 a CPU keeps them as they are; panels are filled up.
  Loader loader(checkpoint.weights("transformer"), {.dtype = at::kHalf});
  TransformerBlock block(loader.root() / "transformer_blocks" / 0, config, Elementwise::fused);
  double numbers = 0;
  for (const at::Tensor* tensor : tensors_of(block)) numbers += static_cast<double>(tensor->numel());
  const double all = parameters_of(config);
  --config.num_layers;
  EXPECT_EQ(numbers, all - parameters_of(config));
}

TEST(Cost, TilingBoundsWhatDecodingHolds) {
  const CogVideoXConfig two_b;
  const Request request = default_request(two_b);
  const Cost tiled = cost_of(request, two_b, {.dtype = at::kBFloat16, .vae_tiling = Tiling::on});
  const Cost whole = cost_of(request, two_b, {.dtype = at::kBFloat16});
  EXPECT_LT(tiled.decode.activation_bytes, 0.6 * whole.decode.activation_bytes) << "but for frames that are remembered";
}

}  // namespace
}  // namespace bitreel
