#include "pipelines/checkpoint/host_copy.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"

namespace bitreel {
namespace {

constexpr std::int64_t piece_bytes = std::int64_t{1} << 24;

}  // namespace

at::Tensor bytes_of(const at::Tensor& tensor) {
  if (!tensor.is_contiguous()) throw Error("bytes are wanted of a tensor that is not contiguous");
  return tensor.view({tensor.numel()}).view(at::kByte);
}

HostCopy::HostCopy(const at::Tensor& tensor, at::Device reader) : bytes_(static_cast<std::int64_t>(tensor.nbytes())) {
  const at::TensorOptions there = at::TensorOptions(at::kByte).pinned_memory(!reader.is_cpu());
  const at::Tensor all = bytes_of(tensor);
  for (std::int64_t begin = 0; begin < bytes_; begin += piece_bytes) {
    const std::int64_t size = std::min(piece_bytes, bytes_ - begin);
    pieces_.push_back(at::empty({size}, there));
    pieces_.back().copy_(all.narrow(0, begin, size));
  }
}

void HostCopy::fetch_into(const at::Tensor& room) const {
  const at::Tensor all = bytes_of(room);
  if (all.size(0) != bytes_) throw Error("a copy in host memory does not fit the tensor that is to take it");
  std::int64_t begin = 0;
  for (const at::Tensor& piece : pieces_) {
    all.narrow(0, begin, piece.size(0)).copy_(piece, /*non_blocking=*/true);
    begin += piece.size(0);
  }
}

}  // namespace bitreel
