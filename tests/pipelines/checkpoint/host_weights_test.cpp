// Weights that come from host memory from the second time on, and are the same.
#include "pipelines/checkpoint/host_weights.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include "pipelines/checkpoint/checkpoint.h"
#include "pipelines/checkpoint/loader.h"
#include "tests/error_text.h"

namespace bitreel {
namespace {

TEST(HostWeights, AreLoadedOnce) {
  HostWeights kept(at::kCPU);
  const at::Tensor weight = at::randn({7, 3}).to(at::kBFloat16);
  int loads = 0;
  const auto load = [&] { return ++loads, weight; };
  for (int time = 0; time < 3; ++time) {
    const at::Tensor there = kept.on_device("a", at::kBFloat16, load);
    EXPECT_EQ(there.scalar_type(), at::kBFloat16);
    EXPECT_TRUE(at::equal(there, weight));
    if (time > 0) {
      EXPECT_NE(there.const_data_ptr(), weight.const_data_ptr());
    }
  }
  EXPECT_EQ(loads, 1);
  (void)kept.on_device("b", at::kBFloat16, load);
  (void)kept.on_device("a", at::kFloat, [&] { return ++loads, weight.to(at::kFloat); });
  EXPECT_EQ(loads, 3) << "another name, another dtype";
}

// More bytes than lie in one piece.
TEST(HostCopy, HoldsTensorsOfAnySize) {
  for (const std::int64_t count : {0, 1, (1 << 22), (1 << 22) + 5, (1 << 23) - 1}) {
    const at::Tensor tensor = at::arange(count, at::TensorOptions(at::kInt));
    const HostCopy copy(tensor, at::kCPU);
    EXPECT_EQ(copy.bytes(), 4 * count);
    const at::Tensor room = at::full({count}, -1, at::TensorOptions(at::kInt));
    copy.fetch_into(room);
    EXPECT_TRUE(at::equal(room, tensor)) << count;
  }
  const HostCopy copy(at::ones({4}), at::kCPU);
  EXPECT_THAT(error_text([&] { copy.fetch_into(at::ones({5})); }), testing::HasSubstr("does not fit"));
}

TEST(HostWeights, ServeALoader) {
  const Checkpoint checkpoint = Checkpoint::open("tests/golden/cog2b/model");
  HostWeights kept(at::kCPU);
  const std::vector<std::string> names = checkpoint.weights("vae").names();
  const auto loaded = [&](HostWeights* host) {
    Loader loader(checkpoint.weights("vae"),
                  {.dtype = at::kBFloat16, .convolutions = ConvolutionLayout::channels_last, .host = host});
    std::vector<at::Tensor> all;
    all.reserve(names.size());
    for (const std::string& name : names)
      all.push_back(loader.take(name, checkpoint.weights("vae").info(name).shape, at::kBFloat16));
    loader.finish();
    return all;
  };
  const std::vector<at::Tensor> plain = loaded(nullptr), first = loaded(&kept), second = loaded(&kept);
  for (std::size_t i = 0; i < plain.size(); ++i) {
    for (const at::Tensor& other : {first[i], second[i]}) {
      EXPECT_TRUE(at::equal(plain[i], other)) << names[i];
      EXPECT_EQ(plain[i].strides(), other.strides()) << names[i];
    }
  }
}

}  // namespace
}  // namespace bitreel
