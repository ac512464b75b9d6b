// The VAE's norm fused, where tests run on a GPU by its kernels, against the composed operations.
#include <gtest/gtest.h>

#include <limits>

#include "base/json_file.h"
#include "pipelines/cogvideox/vae.h"
#include "tests/golden.h"
#include "tests/pipelines/cogvideox/vae_norm_cases.h"
#include "tests/test_device.h"

namespace bitreel {
namespace {

at::Tensor run(const VaeNormInputs& in) {
  at::Tensor y = in.room();
  in.norm(in.x, in.latent, y);
  return y;
}

class FusedVaeNorm : public testing::TestWithParam<at::ScalarType> {
 protected:
  void expect_composed(const VaeNormInputs& in) const {
    const at::Tensor fused = run(in);
    if (in.x.is_cpu()) {
      VaeNormInputs composed = in;
      composed.norm.elementwise = Elementwise::composed;
      EXPECT_TRUE(at::equal(fused, run(composed))) << "there are no kernels for a CPU";
      return;
    }
    EXPECT_LT(worst_share(fused, run(in.exact())), vae_norm_tolerance(GetParam()));
    EXPECT_TRUE(at::equal(fused, run(in))) << "sums do not depend on the order in which blocks run";
  }
};

TEST_P(FusedVaeNorm, IsTheComposedOneInEveryLayout) {
  for (const VaeNormCase& one : vae_norm_cases()) {
    SCOPED_TRACE(testing::Message() << one);
    expect_composed(inputs_of(one, GetParam(), test_device()));
  }
}

// As the planar convolution of Upsample3d leaves them.
TEST_P(FusedVaeNorm, TakesFramesThatLieOneAfterTheOther) {
  VaeNormInputs in = inputs_of({.sizes = {1, 16, 5, 8, 8}, .latent_size = {3, 2, 2}}, GetParam(), test_device());
  in.x = in.x.transpose(1, 2).contiguous().transpose(1, 2);
  expect_composed(in);
}

TEST_P(FusedVaeNorm, KeepsNaN) {
  VaeNormInputs in =
      inputs_of({.sizes = {1, 8, 1, 8, 8}, .latent_size = {1, 2, 2}, .groups = 2}, GetParam(), test_device());
  in.x[0][0][0][3][3] = std::numeric_limits<float>::quiet_NaN();
  const at::Tensor y = run(in);
  EXPECT_TRUE(at::isnan(y.narrow(1, 0, 4)).all().item<bool>()) << "the group that has it";
  EXPECT_FALSE(at::isnan(y.narrow(1, 4, 4)).any().item<bool>());
}

INSTANTIATE_TEST_SUITE_P(Dtypes, FusedVaeNorm, testing::Values(at::kFloat, at::kBFloat16, at::kHalf),
                         [](const auto& info) { return std::string(c10::toString(info.param)); });

TEST(FusedVaeNorms, DecodeAndEncodeAsTheComposedOnes) {
  const Golden golden("vae_batches");
  const VaeConfig config = read_vae_config(read_json(golden.model() / "vae/config.json"));
  for (const ConvolutionLayout layout : {ConvolutionLayout::planar, ConvolutionLayout::channels_last}) {
    SCOPED_TRACE(name_of(layout));
    const auto vae = [&](Elementwise path) {
      return Vae(Weights::open(golden.model() / "vae"), config, {.device = test_device(), .convolutions = layout},
                 VaeParts::both, path);
    };
    const Vae fused = vae(Elementwise::fused), composed = vae(Elementwise::composed);
    const at::Tensor latents = golden.tensor("decode", "latents").to(test_device());
    EXPECT_LT(worst_share(fused.decode_whole(latents, {}), composed.decode_whole(latents, {})), 1e-4);
    const at::Tensor pixels = golden.tensor("encode", "pixels").narrow(2, 0, 9).to(test_device());
    EXPECT_LT(worst_share(fused.encode(pixels, {}), composed.encode(pixels, {})), 1e-4);
  }
}

}  // namespace
}  // namespace bitreel
