// What libbitreel_cuda.so offers for memory-bound operations: a transformer's, one pass over rows of features each, the
// functions of pipelines/layers/rows/rows.h on a GPU, the VAE's group norm (group_norm_call.h), and a denoising step's
// end (guided_step_call.h).
//
//   const auto entry = reinterpret_cast<cuda::RowsEntry>(dlsym(handle, cuda::rows_entry));
//   const cuda::RowsPlugin* rows = entry(cuda::rows_version);   // null when it was built from other headers
//
// As attention/cuda/plugin.h: no LibTorch, pointers to device memory and a stream; nothing is allocated or waited for,
// so that calls can be captured into a CUDA graph; the first CUDA error is returned, 0 for none. Arithmetic is fp32,
// results are rounded once. Features come in whole vectors of eight on addresses that are multiples of 16.
#pragma once

#include <cstdint>

#include "pipelines/layers/cuda/group_norm_call.h"
#include "pipelines/layers/cuda/guided_step_call.h"

namespace bitreel::cuda {

enum class RowElement : std::int32_t { bf16, fp16 };

// Rows [clips, tokens, dim], packed; the first text_tokens of each clip are text. A modulation is [clips, dim] with
// this many elements from one clip to the next; text at 0, video at 1.
struct RowsOfClips {
  RowElement element;
  std::int32_t clips, tokens, text_tokens, dim;
  std::int64_t modulation_stride;
};

inline constexpr std::int32_t widest_row = 8192;   // of norm_modulate
inline constexpr std::int32_t widest_sum = 32768;  // of quantize
inline constexpr std::int32_t widest_head = 256;   // of norm_rotate, a power of two

// Rows as 8-bit numbers with a scale each: the largest magnitude of a row becomes `largest`.
struct EightBits {
  std::int32_t to_e4m3;  // 1: e4m3; 0: int8
  float largest;
  void* values;   // [rows, dim]
  float* scales;  // [rows]
};

// Of x, or where there is an update of x + gate * update, which goes to `sum`, rounded to the element, first.
struct NormModulateCall {
  RowsOfClips rows;
  const void *x, *update;     // [clips, tokens, dim]; update may be null
  const void *weight, *bias;  // [dim]
  const void *shift[2], *scale[2], *gate[2];
  std::int64_t gate_stride;  // as modulation_stride, which is of shift and scale
  void* sum;
  void* y;       // null when the result is wanted in 8 bits alone: rounded to the element first, as it would be in y
  EightBits to;  // unused with y
  float eps;
};

struct GatedAddCall {
  RowsOfClips rows;
  const void *x, *update;
  const void* gate[2];
  void* y;
};

// q and k of qkv [clips, tokens, 3, heads, dim], normed per head and rotated, into [clips, heads, tokens, dim]: up to
// 2^32 vectors in all.
struct NormRotateCall {
  RowsOfClips rows;  // dim: of a head; modulation_stride unused
  std::int32_t heads;
  const void* qkv;
  const void *weight[2], *bias[2];  // [dim], of q and of k
  const float *cos, *sin;           // [video tokens, dim / 2]; null when nothing is rotated
  void* out[2];
  float eps[2];
};

enum class BeforeQuantizing : std::int32_t { nothing, gelu_tanh };

// Rows of numbers to 8 bits, or their GELU, rounded to the element first.
struct QuantizeCall {
  RowElement element;
  BeforeQuantizing before;
  std::int64_t rows;
  std::int32_t dim;
  const void* x;
  EightBits to;
};

struct RowsPlugin {
  std::int64_t version;
  int (*norm_modulate)(const NormModulateCall& call, void* stream);
  int (*gated_add)(const GatedAddCall& call, void* stream);
  int (*norm_rotate)(const NormRotateCall& call, void* stream);
  int (*quantize)(const QuantizeCall& call, void* stream);
  int (*group_norm)(const GroupNormCall& call, void* stream);
  int (*guided_step)(const GuidedStepCall& call, void* stream);
};

inline constexpr std::int64_t rows_version = sizeof(GuidedStepCall) * 1'000'000'000'000 +
                                             sizeof(GroupNormCall) * 1'000'000'000 +
                                             sizeof(NormModulateCall) * 1'000'000 + sizeof(GatedAddCall) * 10'000 +
                                             sizeof(NormRotateCall) * 100 + sizeof(QuantizeCall);

inline constexpr const char* rows_entry = "bitreel_cuda_rows";
using RowsEntry = const RowsPlugin* (*)(std::int64_t version);

}  // namespace bitreel::cuda
