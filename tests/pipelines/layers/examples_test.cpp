// The examples of the headers of layers/ and model/, compiled and run as they stand there, on the tiny UniDiffuser
// checkpoint.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <gmock/gmock.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <vector>

#include "attention/attention.h"
#include "attention/cuda/load_plugin.h"
#include "base/error.h"
#include "pipelines/checkpoint/checkpoint.h"
#include "pipelines/layers/activation.h"
#include "pipelines/layers/block_ring.h"
#include "pipelines/layers/clip_layers.h"
#include "pipelines/layers/cuda/cuda_product.h"
#include "pipelines/layers/modules.h"
#include "pipelines/layers/panel_linear.h"
#include "pipelines/layers/rows/rows_body.h"
#include "pipelines/layers/sinusoid.h"
#include "pipelines/model/cuda/graph_plugin.h"
#include "pipelines/model/step_graphs.h"

namespace bitreel {
namespace {

using Block = Linear;

TEST(Examples, BlockRing) {
  const at::Device device = at::kCPU;
  std::vector<Block> blocks(3);
  for (Block& block : blocks) block.weight = at::eye(4);
  at::Tensor x = at::ones({2, 4});
  BlockRing ring(device);
  for (Block& block : blocks) ring.add(tensors_of(block));  // its tensors leave the device
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    ring.begin(i);  // what follows on the current stream finds it there
    x = blocks[i](x);
    ring.end(i);
  }
  EXPECT_TRUE(at::equal(x, at::ones({2, 4})));
}

TEST(Examples, OfLayers) {
  const c10::InferenceMode no_gradients;
  const nlohmann::json json = {{"hidden_act", "relu"}};
  const JsonFields fields(json, "config.json");
  {
    const at::Tensor x = at::tensor({-1.0f, 2.0f});
    const Activation act = read_activation(fields, "hidden_act", "quick_gelu");
    at::Tensor y = activate(x, act);
    EXPECT_TRUE(at::equal(y, at::tensor({0.0f, 2.0f})));
  }
  const at::Tensor timesteps = at::tensor({999, 0}, at::TensorOptions(at::kLong));
  at::Tensor token = timestep_sinusoid(timesteps, 1536);
  EXPECT_EQ(token.size(1), 1536);
  EXPECT_EQ(token[1][0].item<float>(), 1);

  const Checkpoint checkpoint = Checkpoint::open("tests/golden/unidiffuser/model");
  const nlohmann::json text_encoder = checkpoint.config("text_encoder");
  const ClipLayersConfig config = read_clip_layers_config(JsonFields(text_encoder, "config.json"), {}, "config.json");
  const Weights weights = checkpoint.weights("text_encoder");
  Loader loader(weights, {});
  const bool prefixed = weights.has("text_model.embeddings.token_embedding.weight");
  const Scope scope = prefixed ? loader.root() / "text_model" : loader.root();
  const at::Tensor x = at::zeros({1, 3, config.hidden_size});
  const ClipLayers layers(scope / "encoder", config, {});
  at::Tensor states = layers(x, {.causality = Causality::bottom_right});
  EXPECT_EQ(states.sizes(), x.sizes());
}

[[maybe_unused]] void played_on_a_gpu(const std::function<void()>& launch) {
  const auto* graphs = cuda::plugin_table<cuda::GraphPlugin>(cuda::graph_entry, cuda::graph_version);
  void* const graph = graphs->capture(launch, nullptr);
  graphs->play(graph);
  graphs->release(graph);
}

// Compiled, as they need a GPU: tests/pipelines/cogvideox/linear_test.cpp runs what they show on one.
[[maybe_unused]] at::Tensor multiplied_on_a_gpu(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                                                const cuda::ProductCall& call, void* stream) {
  const auto* products = cuda::plugin_table<cuda::ProductPlugin>(cuda::product_entry, cuda::product_version);
  const int status = products->multiply(call, stream);
  if (status != 0) throw Error(products->status_text(status));
  at::Tensor y;
  if (cuda::takes_product(x, weight, bias)) y = cuda::product(x, weight, bias, cuda::AfterProduct::gelu_tanh);
  return y;
}

TEST(Examples, OfRecordedSteps) {
  const c10::InferenceMode no_gradients;
  const auto options = [] { return RunOptions{}; };
  const auto on_remark = [](const std::string&) {};
  const auto transformer = [](const at::Tensor& latents, const at::Tensor& modulation) { return latents * modulation; };
  const at::Tensor latents = at::ones({2}), modulation = at::full({2}, 3.0);
  const LayerAttention attention = full_attention();
  StepGraphs graphs(options(), on_remark);
  const StepGraphs::Step step = [&](const std::vector<at::Tensor>& in) { return transformer(in[0], in[1]); };
  const at::Tensor y = graphs.run(attention, {latents, modulation}, step);
  EXPECT_TRUE(at::equal(y, modulation));
}

struct Unit {
  static constexpr const char* name = "avx2";
};
const RowKernels<Bf16>& bf16_kernels() {
  return RowKernelsOf<Unit, Bf16>::table;
}

TEST(Examples, OfRowKernels) {
  EXPECT_STREQ(bf16_kernels().name, "avx2");
}

TEST(Examples, PanelLinear) {
  const at::Tensor weight = at::eye(32), bias = at::zeros({32}), x = at::ones({2, 32});
  if (!PanelLinear::takes(weight)) GTEST_SKIP() << "LibTorch's products are used on this processor";
  const PanelLinear map(weight);                 // where it takes(weight), [out, in], which may go then
  const at::Tensor y = map(x, bias, Gelu::erf);  // [..., in] -> [..., out], bias [out] or undefined
  EXPECT_TRUE(at::allclose(y, at::gelu(x)));
}

TEST(Examples, Products) {
  const std::int64_t rows = 2;
  const std::vector<float> numbers(std::size_t{43} * 24 * 256, 0.5f), inputs(rows * 256, 2.0f);
  std::vector<float> outputs(rows * 1024);
  const float *const x = inputs.data(), *const panels = numbers.data(), *const bias = numbers.data();
  float* const y = outputs.data();
  if (product_kernels<float>() == nullptr) GTEST_SKIP() << "the processor has no AVX2, or AVX-512 as well";
  const ProductKernels<float>* kernels = product_kernels<float>();  // null where LibTorch's products are the better
  const ProductWeight<float> weight{.panels = panels, .bias = bias, .in = 256, .out = 1024};
  kernels->multiply(x, rows, weight, Gelu::none, y);  // [rows, 256] -> [rows, 1024]
  EXPECT_THAT(outputs, testing::Each(256.5f));
}

}  // namespace
}  // namespace bitreel
