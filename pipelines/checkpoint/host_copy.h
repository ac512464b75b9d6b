// Bytes of a device's tensor in host memory, from where the device fetches them while it computes something else.
//
//   const HostCopy copy(weight, device);              // weight: on the device or not
//   copy.fetch_into(room);                            // room: of as many bytes, on the device; on its current stream
//
// For a GPU the memory is page-locked, which its copy engine needs. LibTorch rounds such allocations up to powers of
// two, so the bytes lie in pieces.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace bitreel {

class HostCopy {
 public:
  // tensor: contiguous. reader: whose tensors fetch_into() fills.
  HostCopy(const at::Tensor& tensor, at::Device reader);

  // room: contiguous. On a GPU this returns before it is done.
  void fetch_into(const at::Tensor& room) const;
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }

 private:
  std::int64_t bytes_;
  std::vector<at::Tensor> pieces_;
};

// A contiguous tensor's memory, [bytes].
at::Tensor bytes_of(const at::Tensor& tensor);

}  // namespace bitreel
