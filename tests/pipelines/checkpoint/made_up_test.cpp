// Weights that no file holds: the same seed, the same numbers; models load them as they load files.
#include "pipelines/checkpoint/made_up.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include "pipelines/checkpoint/checkpoint.h"
#include "pipelines/checkpoint/loader.h"

namespace bitreel {
namespace {

at::Tensor drawn(const std::string& name, std::uint64_t seed, at::ScalarType dtype = at::kFloat) {
  Loader loader(Weights::made_up("transformer", seed), {.dtype = dtype});
  at::Tensor tensor = loader.take(name, {64, 256}, dtype);
  loader.finish();
  return tensor;
}

TEST(MadeUp, FollowsFromSeedAndName) {
  const at::Tensor a = drawn("a.weight", 1);
  EXPECT_TRUE(at::equal(a, drawn("a.weight", 1)));
  EXPECT_FALSE(at::equal(a, drawn("a.weight", 2)));
  EXPECT_FALSE(at::equal(a, drawn("b.weight", 1)));
  EXPECT_EQ(drawn("a.weight", 1, at::kBFloat16).scalar_type(), at::kBFloat16);
}

TEST(MadeUp, KeepsActivationsInRange) {
  EXPECT_NEAR(drawn("a.weight", 1).std().item<double>(), 1 / 16.0, 0.002) << "256 inputs";
  const at::TensorOptions options(at::kFloat);
  EXPECT_NEAR(made_up_tensor("norm.weight", {4096}, options, 1).mean().item<double>(), 1, 0.01);
  EXPECT_NEAR(made_up_tensor("norm.bias", {4096}, options, 1).mean().item<double>(), 0, 0.01);
}

TEST(MadeUp, CheckpointsTakeOtherValuesOfTheirConfigurations) {
  const Checkpoint checkpoint = Checkpoint::open("assets/pocket").made_up(3, {{"transformer", {{"num_layers", 2}}}});
  EXPECT_EQ(checkpoint.config("transformer")["num_layers"], 2);
  EXPECT_EQ(checkpoint.config("transformer")["attention_head_dim"], 64) << "the rest is the file's";
  EXPECT_EQ(checkpoint.weights("transformer").made_up_seed(), 3);
  EXPECT_FALSE(Checkpoint::open("assets/pocket").weights("transformer").made_up_seed());
}

}  // namespace
}  // namespace bitreel
