// Blocks that pass over a device compute what resident ones do, bit for bit, in two places.
#include "pipelines/layers/block_ring.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/InferenceMode.h>
#include <gmock/gmock.h>

#include <vector>

#include "pipelines/layers/modules.h"
#include "pipelines/layers/quantized_linear.h"
#include "tests/error_text.h"
#include "tests/test_device.h"

namespace bitreel {
namespace {

at::Tensor drawn_for_ring(at::IntArrayRef shape, std::uint64_t seed) {
  return at::randn(shape, at::detail::createCPUGenerator(seed), at::TensorOptions(at::kFloat)).to(test_device());
}

Linear drawn_linear(std::uint64_t seed, std::int64_t width = 96) {
  Linear linear;
  linear.weight = drawn_for_ring({width, width}, 2 * seed) / 10;
  linear.bias = drawn_for_ring({width}, 2 * seed + 1);
  return linear;
}

std::vector<Linear> drawn_blocks(std::size_t count, const LinearOptions& options = {}) {
  std::vector<Linear> blocks;
  for (std::size_t i = 0; i < count; ++i) {
    blocks.push_back(drawn_linear(i));
    if (options.precision != LinearPrecision::full || options.weights != WeightStorage::full) blocks[i].pack(options);
  }
  return blocks;
}

at::Tensor through(const std::vector<Linear>& blocks, at::Tensor x, BlockRing* ring = nullptr) {
  const c10::InferenceMode no_gradients;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (ring != nullptr) ring->begin(i);
    x = at::tanh(blocks[i](x));
    if (ring != nullptr) ring->end(i);
  }
  return x;
}

class Ring : public testing::TestWithParam<std::size_t> {};

TEST_P(Ring, ComputesWhatResidentBlocksDo) {
  const at::Tensor x = drawn_for_ring({40, 96}, 99);
  const at::Tensor expected = through(drawn_blocks(GetParam()), x);
  std::vector<Linear> blocks = drawn_blocks(GetParam());
  BlockRing ring(test_device());
  for (Linear& block : blocks) ring.add(tensors_of(block));
  for (int pass = 0; pass < 3; ++pass) EXPECT_TRUE(at::equal(through(blocks, x, &ring), expected)) << "pass " << pass;
  const std::size_t places = std::min(GetParam(), BlockRing::places);
  EXPECT_EQ(ring.device_bytes(), static_cast<std::int64_t>(places) * (96 * 96 + 128) * 4) << "biases on 256 bytes";
  // A block that has its place to itself is fetched by no pass: of three the one in the middle.
  const std::size_t of_a_pass = GetParam() <= places ? 0 : GetParam() == 3 ? 2 : GetParam();
  EXPECT_GE(ring.fetched(), 3 * of_a_pass);
  EXPECT_LE(ring.fetched(), 3 * of_a_pass + (of_a_pass == 0 ? 0 : places)) << "the last ones are there after loading";
}

// An odd count ends in the place in which the next pass begins.
INSTANTIATE_TEST_SUITE_P(Counts, Ring, testing::Values(1, 2, 3, 4, 7));

TEST(BlockRing, BeginsAnewAfterAPassThatWasGivenUp) {
  const at::Tensor x = drawn_for_ring({40, 96}, 99);
  const at::Tensor expected = through(drawn_blocks(5), x);
  for (std::size_t stop = 0; stop < 5; ++stop) {
    std::vector<Linear> blocks = drawn_blocks(5);
    BlockRing ring(test_device());
    for (Linear& block : blocks) ring.add(tensors_of(block));
    for (std::size_t i = 0; i <= stop; ++i) {
      ring.begin(i);
      if (i < stop) ring.end(i);
    }
    EXPECT_TRUE(at::equal(through(blocks, x, &ring), expected)) << "given up in block " << stop;
  }
}

// All that a block multiplies with is in its list: what is not stays on the device, and there would be more than
// places.
TEST(BlockRing, TakesWeightsInEveryKindOfStorage) {
  const LinearOptions kinds[] = {{.weights = WeightStorage::fp8},
                                 {.precision = LinearPrecision::fp8, .path = LinearPath::plain},
                                 {.precision = LinearPrecision::int8, .path = LinearPath::plain}};
  const at::Tensor x = drawn_for_ring({40, 96}, 99);
  for (const LinearOptions& kind : kinds) {
    const at::Tensor expected = through(drawn_blocks(3, kind), x);
    std::vector<Linear> blocks = drawn_blocks(3, kind);
    BlockRing ring(test_device());
    for (Linear& block : blocks) ring.add(tensors_of(block));
    EXPECT_TRUE(at::equal(through(blocks, x, &ring), expected));
    EXPECT_EQ(ring.device_bytes(), 2 * (96 * 96 + 2 * 128 * 4)) << "a byte a weight, bias and scales in fp32";
  }
}

TEST(BlockRing, RefusesBlocksThatCannotShareAPlace) {
  BlockRing ring(test_device());
  Linear first = drawn_linear(1), wider = drawn_linear(3, 128), second = drawn_linear(2), turned = drawn_linear(2);
  ring.add(tensors_of(first));
  ring.add(tensors_of(second));
  EXPECT_THAT(error_text([&] { ring.add(tensors_of(wider)); }), testing::HasSubstr("different sizes"));
  turned.weight = turned.weight.t();
  EXPECT_THAT(error_text([&] { ring.add(tensors_of(turned)); }), testing::HasSubstr("use `offload` none"));
}

}  // namespace
}  // namespace bitreel
