// The example of cuda_group_norm.h: volumes on the CPU are left to LibTorch.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "pipelines/layers/cuda/cuda_group_norm.h"

namespace bitreel {
namespace {

TEST(CudaGroupNormExamples, LeaveWhatIsNotOnAGpu) {
  const GroupNorm norm;
  const at::Tensor x = at::ones({1, 8, 1, 2, 2}), y = at::zeros_like(x), scale, shift;
  if (cuda::norms_volume(x, y)) cuda::norm_volume(norm, x, {.scale = scale, .shift = shift}, y);
  EXPECT_TRUE(at::equal(y, at::zeros_like(x)));
}

}  // namespace
}  // namespace bitreel
