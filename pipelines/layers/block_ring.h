// Blocks of one shape that are too many for a device: all lie in host memory, two on the device, and while one computes
// the next is fetched.
//
//   BlockRing ring(device);
//   for (Block& block : blocks) ring.add(tensors_of(block));    // its tensors leave the device
//   for (std::size_t i = 0; i < blocks.size(); ++i) {
//     ring.begin(i);                                            // what follows on the current stream finds it there
//     x = blocks[i](x);
//     ring.end(i);
//   }
//
// A block has its place on the device for good, which it shares with every second one: its tensors are views of that
// place, and mean something between begin() and end() only. On a GPU fetching has a stream of its own, the two wait for
// each other there, and the host waits for neither; on a CPU, where this is for tests, fetching is a plain copy.
// Results are those of blocks that stay, bit for bit. One thread at a time.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

#include <cstddef>
#include <optional>
#include <vector>

#include "pipelines/checkpoint/host_copy.h"

namespace bitreel {

// What a module holds, where it holds it.
using TensorList = std::vector<at::Tensor*>;

template <class Module>
TensorList tensors_of(Module& module) {
  TensorList list;
  module.list_tensors(list);
  return list;
}

class BlockRing {
 public:
  explicit BlockRing(at::Device device);
  ~BlockRing();
  BlockRing(const BlockRing&) = delete;
  BlockRing& operator=(const BlockRing&) = delete;

  // The next block's tensors: on the device, contiguous, of the same sizes in every block. Error when they are not.
  void add(const TensorList& tensors);

  void begin(std::size_t block);
  void end(std::size_t block);

  // On the device, of all places together.
  [[nodiscard]] std::int64_t device_bytes() const;
  // So far, begin() and end() included that found nothing to fetch.
  [[nodiscard]] std::size_t fetched() const { return fetched_; }

  static constexpr std::size_t places = 2;

 private:
  struct Place {
    at::Tensor bytes;
    std::optional<std::size_t> holds = {};  // which block, or is about to
    c10::Event filled, used;                // on a GPU
  };

  [[nodiscard]] Place& place_of(std::size_t block) { return places_[block % places]; }
  void fetch(std::size_t block);

  at::Device device_;
  std::optional<c10::Stream> side_ = {};  // that fetches, on a GPU
  std::vector<Place> places_;
  std::vector<HostCopy> blocks_;
  std::size_t fetched_ = 0;
};

}  // namespace bitreel
