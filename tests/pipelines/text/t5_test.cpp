// T5 embeddings against transformers', in every dtype; and weights or configs that don't fit.
#include "pipelines/text/t5.h"

#include <ATen/ATen.h>

#include "base/json_file.h"
#include "tests/error_text.h"
#include "tests/golden.h"
#include "tests/temporary_folder.h"

namespace bitreel {
namespace {

using nlohmann::json;
using test::TemporaryFolder;
using testing::AllOf;
using testing::HasSubstr;

class T5 : public testing::TestWithParam<std::string> {
 protected:
  Golden golden{"t5"};
  std::filesystem::path folder = golden.folder() / golden.json()["folders"][GetParam()].get<std::string>();
  std::string file = GetParam() == "relu" ? "relu" : "gated_gelu";

  [[nodiscard]] at::Tensor embed(at::ScalarType dtype, const std::string& attention = {}) const {
    const T5Config config = read_t5_config(read_json(folder / "config.json"));
    return T5Encoder(Weights::open(folder), config, {.dtype = dtype}, attention)(golden.tensor(file, "ids"));
  }
};

TEST_P(T5, EmbeddingsEqualThePeers) {
  golden.expect(embed(at::kFloat), file, "embeds", tolerance::module);
}

TEST_P(T5, EmbeddingsEqualThePeersOnReferenceAttention) {
  golden.expect(embed(at::kFloat, "reference"), file, "embeds", tolerance::module);
}

TEST_P(T5, StreamedBlocksGiveTheSameBits) {
  const T5Config config = read_t5_config(read_json(folder / "config.json"));
  const T5Encoder streamed(Weights::open(folder), config, {.blocks = BlockPlace::streamed});
  for (int pass = 0; pass < 2; ++pass)
    EXPECT_TRUE(at::equal(streamed(golden.tensor(file, "ids")), embed(at::kFloat))) << "pass " << pass;
}

TEST_P(T5, HalfPrecisionIsAsAccurateAsThePeersAndInItsDtype) {
  for (const char* half : {"bf16", "fp16"}) {
    const at::Tensor ours = embed(dtype_from(half));
    EXPECT_EQ(ours.scalar_type(), golden.tensor(file, std::string(half) + ".embeds").scalar_type());
    const double peer = golden.json()["peer_error_half"][GetParam()][half]["of_max"];
    golden.expect(ours, file, "embeds", tolerance::half_factor * peer);
  }
}

INSTANTIATE_TEST_SUITE_P(Goldens, T5, testing::Values("relu", "gated-gelu"),
                         [](const auto& info) { return info.param == "relu" ? "relu" : "gated_gelu"; });

// The gated encoder's tensors, to be changed and stored again.
class T5Weights : public testing::Test {
 protected:
  T5Weights() {
    const SafetensorsFile stored = SafetensorsFile::open("tests/golden/cog5b/model/text_encoder/model.safetensors");
    for (const auto& entry : stored.tensors()) tensors[entry.first] = stored.tensor(entry.first);
  }

  at::Tensor embed(at::ScalarType dtype) {
    write_safetensors(folder / "model.safetensors", tensors, {});
    const T5Encoder encoder(Weights::open(folder.path()), read_t5_config(config), {.dtype = dtype});
    return encoder(at::arange(8, at::kLong).unsqueeze(0));
  }
  std::string load_error() {
    return error_text([&] { (void)embed(at::kFloat); });
  }

  TemporaryFolder folder;
  json config = read_json("tests/golden/cog5b/model/text_encoder/config.json");
  std::map<std::string, at::Tensor> tensors;
  const std::string dense = "encoder.block.1.layer.1.DenseReluDense.";
};

TEST_F(T5Weights, MayHoldATiedCopyOfTheEmbedding) {
  const at::Tensor expected = embed(at::kFloat);
  tensors["encoder.embed_tokens.weight"] = at::zeros_like(tensors["shared.weight"]);
  EXPECT_TRUE(at::equal(embed(at::kFloat), expected));
}

TEST_F(T5Weights, AreNamedWhenMissing) {
  auto norm = tensors.extract("encoder.final_layer_norm.weight");
  norm.key() = "encoder.final_layernorm.weight";
  tensors.insert(std::move(norm));
  EXPECT_THAT(load_error(), AllOf(HasSubstr("tensor encoder.final_layer_norm.weight is missing"),
                                  HasSubstr("the nearest name in the files is encoder.final_layernorm.weight")));
}

TEST_F(T5Weights, AreNamedWhenNobodyUsesThem) {
  tensors["decoder.final_layer_norm.weight"] = at::ones({32});
  EXPECT_THAT(load_error(),
              AllOf(HasSubstr("1 tensors are not part of the model"), HasSubstr("decoder.final_layer_norm.weight")));
}

TEST_F(T5Weights, AreNamedWithBothShapesWhenTheyDiffer) {
  config["d_ff"] = 64;
  EXPECT_THAT(load_error(), AllOf(HasSubstr("DenseReluDense.wi_0.weight is [48, 32], config.json says [64, 32]")));
}

TEST_F(T5Weights, OfAnUngatedModelDontFitAGatedConfig) {
  config["feed_forward_proj"] = "relu";
  EXPECT_THAT(load_error(), HasSubstr("encoder.block.0.layer.1.DenseReluDense.wi.weight is missing"));
}

TEST_F(T5Weights, ThatOverflowHalfPrecisionAreClampedAsThePeerDoes) {
  tensors["shared.weight"] = at::full({328, 32}, 60'000.0);
  tensors["encoder.block.0.layer.0.SelfAttention.v.weight"] = at::full({32, 32}, 5.0);
  tensors["encoder.block.0.layer.0.SelfAttention.o.weight"] = at::full({32, 32}, 5.0);
  tensors["encoder.block.0.layer.0.layer_norm.weight"] = at::full({32}, 2.0);
  EXPECT_TRUE(at::isfinite(embed(at::kHalf)).all().item<bool>());
}

TEST(T5ConfigFile, HoldsThePeersDefaultsWhenEmpty) {
  const T5Config config = read_t5_config(json::object());
  EXPECT_EQ(config.d_model, 512);
  EXPECT_EQ(config.num_layers, 6);
  EXPECT_EQ(config.activation, T5Activation::relu);
  EXPECT_FALSE(config.gated);
}

TEST(T5ConfigFile, ReadsEveryFeedForward) {
  const std::tuple<const char*, T5Activation, bool> cases[] = {{"relu", T5Activation::relu, false},
                                                               {"gelu", T5Activation::gelu_erf, false},
                                                               {"gelu_new", T5Activation::gelu_tanh, false},
                                                               {"silu", T5Activation::silu, false},
                                                               {"gated-relu", T5Activation::relu, true},
                                                               {"gated-gelu", T5Activation::gelu_tanh, true},
                                                               {"gated-gelu_new", T5Activation::gelu_tanh, true},
                                                               {"gated-silu", T5Activation::silu, true}};
  for (const auto& [name, activation, gated] : cases) {
    const T5Config config = read_t5_config({{"feed_forward_proj", name}});
    EXPECT_EQ(config.activation, activation) << name;
    EXPECT_EQ(config.gated, gated) << name;
  }
}

TEST(T5ConfigFile, SaysFileKeyValueAndExpectation) {
  const std::tuple<const char*, json, const char*> cases[] = {
      {"d_model", 0, "a whole number from 1"},
      {"d_model", "big", "a whole number from 1"},
      {"num_layers", 1e300, "a whole number from 1"},
      {"num_heads", -4, "a whole number from 1"},
      {"vocab_size", 2, "a whole number from 3"},
      {"relative_attention_num_buckets", 3, "a whole number from 4"},
      {"relative_attention_max_distance", 8, "a whole number from 9"},
      {"layer_norm_epsilon", -1, "a number from 0"},
      {"feed_forward_proj", "swiglu", "one of relu, gelu"},
      {"feed_forward_proj", 7, "one of relu, gelu"}};
  for (const auto& [key, value, expectation] : cases) {
    EXPECT_THAT(error_text([&, &key = key, &value = value] {
                  (void)read_t5_config({{key, value}});
                }),
                HasSubstr("text_encoder/config.json: " + std::string(key) + " is " + value.dump() + ", expected " +
                          expectation));
  }
}

}  // namespace
}  // namespace bitreel
