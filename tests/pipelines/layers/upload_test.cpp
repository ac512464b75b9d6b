// Weights go to a device in pieces, whatever their size, and arrive as they would at once.
#include "pipelines/checkpoint/upload.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/test_device.h"

namespace bitreel {
namespace {

at::Tensor stored_numbers(at::IntArrayRef shape, at::ScalarType dtype) {
  return at::randn(shape, at::detail::createCPUGenerator(5), at::TensorOptions(at::kFloat)).to(dtype);
}

TEST(Upload, GivesTheNumbersThatOneCopyGives) {
  const at::Device device = test_device();
  Upload upload(device, 4096);
  for (const at::ScalarType from : {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble}) {
    for (const at::ScalarType to : {at::kFloat, at::kBFloat16, at::kHalf}) {
      // Nothing, less than a piece, whole pieces, and a part of one after more than there are places.
      for (const std::vector<std::int64_t>& shape :
           std::vector<std::vector<std::int64_t>>{{0}, {3}, {64, 128}, {97, 333}}) {
        const at::Tensor stored = stored_numbers(shape, from);
        const std::optional<at::Tensor> there = upload(stored, to);
        ASSERT_TRUE(there);
        EXPECT_EQ(there->scalar_type(), to);
        EXPECT_EQ(there->device().type(), device.type());
        EXPECT_TRUE(at::equal(there->cpu(), stored.to(to))) << from << " to " << to << ", " << stored.sizes();
      }
    }
  }
}

TEST(Upload, FindsWhatIsNotFiniteInEveryPiece) {
  Upload upload(test_device(), 4096);
  for (const std::int64_t where : {0, 1023, 1024, 4999}) {
    at::Tensor stored = stored_numbers({5000}, at::kFloat);
    EXPECT_TRUE(upload(stored, at::kBFloat16));
    stored[where] = std::numeric_limits<float>::infinity();
    EXPECT_FALSE(upload(stored, at::kBFloat16)) << where;
    stored[where] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_FALSE(upload(stored, at::kFloat)) << where;
  }
}

TEST(Upload, LeavesEarlierWeightsAlone) {
  Upload upload(test_device(), 4096);
  std::vector<at::Tensor> stored, there;
  for (int i = 0; i < 8; ++i) {
    stored.push_back(stored_numbers({1000 + i}, at::kFloat) * i);
    there.push_back(upload(stored.back(), at::kFloat).value());
  }
  for (std::size_t i = 0; i < stored.size(); ++i) EXPECT_TRUE(at::equal(there[i].cpu(), stored[i])) << i;
}

}  // namespace
}  // namespace bitreel
