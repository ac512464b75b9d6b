// The examples of pipelines/layers' headers, compiled and run as they stand there.
#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <vector>

#include "pipelines/layers/block_ring.h"
#include "pipelines/layers/modules.h"

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

}  // namespace
}  // namespace bitreel
