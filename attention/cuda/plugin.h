// What libbitreel_cuda.so offers the program: one exported function, which returns a table of functions on plain
// structs.
// load_plugin.h finds it, and is refused the table when the plugin was built from other headers.
//
// The plugin holds the .cu files and knows no LibTorch: it gets pointers to device memory and a stream, launches on
// that stream on the current device, and returns the first CUDA error of its launches (0 for none). It neither
// allocates nor waits, so that calls can be captured into a CUDA graph.
#pragma once

#include <cstddef>
#include <cstdint>

#include "attention/cuda/packed.h"
#include "attention/recipe.h"

namespace bitreel::cuda {

// LayerNorm over the channels of a head, [dim] of the inputs' type.
struct NormOfHead {
  const void *weight, *bias;
  float eps;
};

// What is still to be done to q and k (attention/head_norms.h); nothing where q.weight is null.
struct NormsOfHeads {
  NormOfHead q, k;
  const float *cos, *sin;      // [tokens - first_rotated, dim / 2]; null when nothing is rotated
  std::int32_t first_rotated;  // token
};

// The inputs of a call, as they lie in the caller's memory.
struct SourceCall {
  Rows q, k, v;
  NormsOfHeads norms;
  Element element;
  std::int32_t dim;      // the caller's; PackedCall::dim is 64 or 128
  double scale;          // of the logits
  const bool* key_mask;  // [B, keys] with the strides below, or null
  std::int64_t mask_batch_stride, mask_key_stride;
  // Memory that the pass works in, of the sizes that QuantizationMemory says.
  std::int32_t* kept;    // [B, keys]: indices of the keys that count; null without a mask
  double* sums;          // of channels of keys and values, by chunk of tokens
  float* extremes;       // of values
  float* v_divisors;     // [B, Hkv, dim]
  float* v_offsets;      // [B, Hkv, dim]: what is taken off values before they are rounded
  std::int64_t* v_sums;  // [B, Hkv, dim]: of rounded values, in units of units_of_one; null when v_mean is not exact
  // Where has_sampled_scale(recipe): v_sums once more, for heads that are rounded again; [B, Hkv, dim], the largest
  // magnitude that v_divisors are for; the bits of the largest of those beyond it, 0 when there is none; and with
  // v_sums [B, Hkv, padded keys / 128, dim], sums of values.
  float* v_most;
  std::uint32_t* v_beyond;
  double* v_block_sums;
};

// Elements of SourceCall's memory, for one call.
struct QuantizationMemory {
  std::int64_t sums, extremes, of_channels, of_blocks;  // the third: each of v_divisors, v_offsets, v_most, v_beyond
};

// Tokens that one CTA sums: fewer where there are not two CTAs for each of a GPU's multiprocessors otherwise.
constexpr std::int32_t chunk_tokens(const PackedCall& call) {
  constexpr std::int32_t few = 128, many = 768, ctas = 2 * 132;
  const std::int64_t heads = std::int64_t{call.batch} * call.key_heads;
  return heads * ((call.keys + many - 1) / many) < ctas ? few : many;
}

constexpr std::int32_t chunk_count(const PackedCall& call) {
  return (call.keys + chunk_tokens(call) - 1) / chunk_tokens(call);
}

inline QuantizationMemory quantization_memory(const PackedCall& call) {
  const std::int64_t heads = std::int64_t{call.batch} * call.key_heads;
  const std::int64_t numbers = heads * chunk_count(call) * call.dim;
  const std::int64_t of_channels = heads * call.dim;
  return {.sums = numbers * 2,
          .extremes = numbers * 2,
          .of_channels = of_channels,
          .of_blocks = padded(call.keys) / block_tokens * of_channels};
}

// Which units multiply P and V in e4m3: sm80: fp16, which holds its numbers, as every GPU since 8.0 has; sm89: e4m3.
enum class MmaUnits : std::int32_t { sm80, sm89 };

// Whether the mma.sync kernels can take q and k as halves of bytes. The unit for them is there from 8.0 to 8.9; later
// GPUs emulate it.
inline bool has_four_bit_kernel(const Recipe& recipe) {
  return recipe.qk == QkFormat::int4 && recipe.pv != PvFormat::int8 && recipe.pv != PvFormat::fp16_fp16_sum;
}

struct Plugin {
  std::int64_t version;
  const char* architectures;  // that machine code is in for: "sm_80 sm_89 sm_90a sm_120a"
  const char* (*error_text)(int error);
  // Of the current device: 90 for 9.0. Negative: minus the CUDA error.
  int (*compute_capability)();

  // Integers, scales, means. With smooth_q the means of query blocks too, but not the bias.
  int (*quantize)(const SourceCall& source, const Recipe& recipe, const PackedCall& call, void* stream);
  // qk_bias of the heads [first_head, first_head + head_count).
  int (*qk_bias)(const SourceCall& source, const PackedCall& call, void* stream);
  // Every recipe, mask and shape (attention/cuda/mma/).
  int (*attend_mma)(const Recipe& recipe, MmaUnits units, const PackedCall& call, void* stream);
  // The warp-specialised kernels of attention/cuda/sm90/: why they can't do a call (memory need not be there yet; null
  // when they can), and doing it. Null when the plugin was built without them.
  const char* (*sm90_refuses)(const Recipe& recipe, const PackedCall& call);
  int (*attend_sm90)(const Recipe& recipe, const PackedCall& call, void* stream);
};

// Sizes stand for the structs' shapes: a plugin built from other headers must not be called.
inline constexpr std::int64_t plugin_version =
    1'000'000'000 + sizeof(Recipe) * 1'000'000 + sizeof(SourceCall) * 1'000 + sizeof(PackedCall);

inline constexpr const char* plugin_entry = "bitreel_cuda_plugin";
using PluginEntry = const Plugin* (*)(std::int64_t version);

}  // namespace bitreel::cuda
