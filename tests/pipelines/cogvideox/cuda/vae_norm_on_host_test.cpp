// The CUDA kernels of the VAE's norm, run on the CPU (tests/attention/cuda/cuda_on_host.h): the same source, thread by
// thread, against the composed operations. Races and misaligned accesses are for a GPU (vae_norm_test.cpp).
#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "pipelines/layers/cuda/cuda_group_norm.h"
#include "tests/golden.h"
#include "tests/pipelines/cogvideox/vae_norm_cases.h"

namespace bitreel {
namespace {

cuda::NormMaps maps_of(const VaeNormInputs& in) {
  if (!in.norm.conv_y) return {};
  const std::int64_t frames = in.x.size(2);
  return {.scale = (*in.norm.conv_y)(in.latent),
          .shift = (*in.norm.conv_b)(in.latent),
          .frames = frames > 1 && frames % 2 == 1 ? cuda::MapFrames::first_alone : cuda::MapFrames::shared_out};
}

class NormKernels : public testing::TestWithParam<at::ScalarType> {};

TEST_P(NormKernels, AreTheComposedNormInEveryLayout) {
  std::set<cuda::Neighbours> taken;
  for (const VaeNormCase& one : vae_norm_cases()) {
    SCOPED_TRACE(testing::Message() << one);
    const VaeNormInputs in = inputs_of(one, GetParam(), at::kCPU), exact = in.exact();
    const at::Tensor ours = in.room(), composed = exact.room();
    const cuda::PreparedGroupNorm prepared = cuda::prepare(in.norm.norm_layer, in.x, maps_of(in), ours);
    prepared.work.fill_(std::numeric_limits<float>::quiet_NaN());
    EXPECT_EQ(cuda::group_norm(prepared.call, nullptr), 0);
    exact.norm(exact.x, exact.latent, composed);
    EXPECT_LT(worst_share(ours, composed), vae_norm_tolerance(GetParam()));
    taken.insert(cuda::neighbours_of(prepared.call));
  }
  EXPECT_EQ(taken.size(), 3U) << "every way of taking vectors";
}

INSTANTIATE_TEST_SUITE_P(Dtypes, NormKernels, testing::Values(at::kFloat, at::kBFloat16, at::kHalf),
                         [](const auto& info) { return std::string(c10::toString(info.param)); });

}  // namespace
}  // namespace bitreel
