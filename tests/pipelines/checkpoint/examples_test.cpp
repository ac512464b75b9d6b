// Examples of the headers of checkpoint/, layers/ and model/, on the tiny UniDiffuser checkpoint
// (tests/app/manuals_test.cpp compares). Those that want the default model are in tests/app/examples_test.cpp.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <gmock/gmock.h>

#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "attention/attention.h"
#include "attention/cuda/load_plugin.h"
#include "pipelines/checkpoint/checkpoint.h"
#include "pipelines/checkpoint/finite.h"
#include "pipelines/checkpoint/host_copy.h"
#include "pipelines/checkpoint/host_weights.h"
#include "pipelines/checkpoint/mapped_file.h"
#include "pipelines/checkpoint/upload.h"
#include "pipelines/layers/activation.h"
#include "pipelines/layers/clip_layers.h"
#include "pipelines/layers/rows/rows_body.h"
#include "pipelines/layers/sinusoid.h"
#include "pipelines/model/cuda/graph_plugin.h"
#include "pipelines/model/step_graphs.h"
#include "tests/error_text.h"
#include "tests/examples_folder.h"
#include "tests/files.h"

namespace bitreel::test {
namespace {

class Examples : public ExamplesFolder {};

TEST_F(Examples, OfWeightFiles) {
  write_text("./model.safetensors", std::string(4096, 'x'));
  watch_mapped_files();
  const MappedFile file("model.safetensors");
  std::string copied(4096, ' ');
  auto* const room = reinterpret_cast<std::byte*>(copied.data());
  copy_of_file(file.data(), 4096, room);
  EXPECT_EQ(copied, std::string(4096, 'x'));
  const at::Tensor weight = at::full({3}, std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(error_text([&] {
              if (!all_finite(weight)) throw Error("transformer: tensor proj_out.bias is not finite");
            }),
            "transformer: tensor proj_out.bias is not finite\n");
}

TEST_F(Examples, OfWeightsInHostMemory) {
  const at::Device device = at::kCPU;
  const at::Tensor room = at::zeros({2});
  {
    const at::Tensor weight = at::ones({2});
    const HostCopy copy(weight, device);  // weight: on the device or not
    copy.fetch_into(room);                // room: of as many bytes, on the device; on its current stream
    EXPECT_TRUE(at::equal(room, weight));
  }
  const auto read_from_file = [&] { return room.to(at::kBFloat16); };
  HostWeights kept(device);
  const at::Tensor weight = kept.on_device("proj_out.weight", at::kBFloat16, [&] { return read_from_file(); });
  EXPECT_TRUE(at::equal(weight, read_from_file()));
}

TEST_F(Examples, OfUploadedWeights) {
  const at::Device device = at::kCPU;
  const at::Tensor stored = at::tensor({1.0f, -2.5f});
  Upload upload(device);
  const std::optional<at::Tensor> weight = upload(stored, at::kBFloat16);
  if (!weight) throw Error("it holds infinity or values that are not numbers");
  EXPECT_TRUE(at::equal(*weight, stored.to(at::kBFloat16)));
}

TEST_F(Examples, OfLayers) {
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

  const Checkpoint checkpoint = Checkpoint::open(repository() / "tests/golden/unidiffuser/model");
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
  const auto entry = reinterpret_cast<cuda::GraphEntry>(cuda::plugin_symbol(cuda::graph_entry));
  const cuda::GraphPlugin* graphs = entry(cuda::graph_version);
  void* const graph = graphs->capture(launch, nullptr);
  graphs->play(graph);
  graphs->release(graph);
}

TEST_F(Examples, OfRecordedSteps) {
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

TEST_F(Examples, OfRowKernels) {
  EXPECT_STREQ(bf16_kernels().name, "avx2");
}

}  // namespace
}  // namespace bitreel::test
