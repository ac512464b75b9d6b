// A quantized attention call in the structs that CUDA kernels take (packed.h, plugin.h), with LibTorch's memory for
// everything that they need.
//
//   using namespace cuda;
//   const PackedFormats formats = {IntegerFormat::bytes, KeyScales::token, ValueFormat::int8};
//   const PreparedCall prepared(call, formats);                        // allocates on q's device
//   plugin.quantize(prepared.source(), *call.recipe, prepared.packed(), stream);
//   const PackedTensors written = prepared.tensors();                  // views of that memory
//   const at::Tensor scales = written.k_scales;                        // [B, Hkv, padded]
//
// plugin: loaded_plugin() of load_plugin.h.
// The call's tensors must outlive it. Launches nothing itself.
#pragma once

#include <ATen/core/Tensor.h>

#include "attention/backend.h"
#include "attention/cuda/plugin.h"

namespace bitreel::cuda {

// With smooth_q heads come in chunks, whose biases on the logits fit here.
inline constexpr std::int64_t bias_bytes = std::int64_t{1} << 29;

// How the pass writes what the recipe leaves open: as the kernel reads it.
struct PackedFormats {
  IntegerFormat integers;
  KeyScales key_scales;
  ValueFormat values;
};

// What the quantization pass writes, to look into: of one call, alive with it.
struct PackedTensors {
  at::Tensor q, q_scales;  // [B, Hq, padded, dim] bytes (dim / 2 of halves), [B, Hq, padded]
  at::Tensor k, k_scales;  // [B, Hkv, padded, dim] bytes, [B, Hkv, padded] or [B, Hkv, padded / 128, 4]
  at::Tensor v, v_scales;  // [B, Hkv, dim + 8, padded] in bytes or fp16, [B, Hkv, dim]
  at::Tensor v_mean, k_mean;
};

// Sizes and formats alone: what a kernel needs to know of a call to say whether it can do it.
PackedCall shape_of(const AttendCall& call, const PackedFormats& formats);

class PreparedCall {
 public:
  PreparedCall(const AttendCall& call, const PackedFormats& formats);

  const SourceCall& source() const { return source_; }
  const PackedCall& packed() const { return packed_; }
  // The same call, of these heads alone (PackedCall::first_head).
  PackedCall heads(std::int32_t first, std::int32_t count) const;
  std::int32_t heads_at_once() const { return heads_at_once_; }
  PackedTensors tensors() const;

 private:
  std::int64_t value_bytes() const;
  at::Tensor view(const void* array, at::IntArrayRef sizes, at::ScalarType type) const;

  PackedCall packed_;
  SourceCall source_{};
  at::Tensor memory_;
  std::int32_t heads_at_once_ = 0;
};

}  // namespace bitreel::cuda
