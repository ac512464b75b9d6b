#include "pipelines/layers/block_ring.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "base/error.h"

namespace bitreel {
namespace {

constexpr std::int64_t alignment = 256;  // of tensors in a place: what kernels that read vectors want at most

std::int64_t rounded_up(std::int64_t bytes) {
  return (bytes + alignment - 1) / alignment * alignment;
}

c10::Stream current_stream(const at::Device& device) {
  return c10::impl::VirtualGuardImpl(device.type()).getStream(device);
}

}  // namespace

BlockRing::BlockRing(at::Device device) : device_(device) {
  if (!device.is_cpu()) side_ = c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
}

// Nothing may be given back to the allocator that is still being written.
BlockRing::~BlockRing() {
  if (!side_) return;
  for (const Place& place : places_) {
    if (place.filled.was_marked_for_recording()) place.filled.synchronize();
  }
}

void BlockRing::add(const TensorList& tensors) {
  const c10::InferenceMode no_gradients;
  std::int64_t bytes = 0;
  for (const at::Tensor* tensor : tensors) {
    if (tensor->layout() != at::kStrided || !tensor->is_contiguous() || tensor->device().type() != device_.type())
      throw Error("a block's weights are in blocks of a library, or elsewhere: they can't be fetched from host memory",
                  "use `offload` none");
    bytes += rounded_up(static_cast<std::int64_t>(tensor->nbytes()));
  }
  if (places_.size() < places) {
    places_.push_back({.bytes = at::zeros({bytes}, at::TensorOptions(at::kByte).device(device_)),
                       .filled = c10::Event(device_.type()),
                       .used = c10::Event(device_.type())});
  }
  Place& place = place_of(blocks_.size());
  if (place.bytes.size(0) != bytes) throw Error("blocks of different sizes can't take turns in one place");
  std::int64_t begin = 0;
  for (at::Tensor* tensor : tensors) {
    const auto size = static_cast<std::int64_t>(tensor->nbytes());
    const at::Tensor view =
        place.bytes.narrow(0, begin, size).view(tensor->scalar_type()).view(tensor->sizes()).copy_(*tensor);
    *tensor = view;
    begin += rounded_up(size);
  }
  place.holds = blocks_.size();
  blocks_.emplace_back(place.bytes, device_);  // waits for what was written above
}

void BlockRing::begin(std::size_t block) {
  Place& place = place_of(block);
  if (place.holds != block) fetch(block);
  if (side_ && place.filled.was_marked_for_recording()) place.filled.block(current_stream(device_));
}

// The next one in this place is fetched as soon as the device is done with this one.
void BlockRing::end(std::size_t block) {
  if (side_) place_of(block).used.record(current_stream(device_));
  const std::size_t next = block + places < blocks_.size() ? block + places : block % places;
  if (next != block) fetch(next);
}

void BlockRing::fetch(std::size_t block) {
  const c10::InferenceMode no_gradients;
  Place& place = place_of(block);
  const c10::OptionalStreamGuard on_side(side_);
  if (side_ && place.used.was_marked_for_recording()) place.used.block(*side_);
  blocks_[block].fetch_into(place.bytes);
  if (side_) place.filled.record(*side_);
  place.holds = block;
  ++fetched_;
}

std::int64_t BlockRing::device_bytes() const {
  std::int64_t bytes = 0;
  for (const Place& place : places_) bytes += place.bytes.size(0);
  return bytes;
}

}  // namespace bitreel
