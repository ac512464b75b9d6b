// What comes before attention, one .cu file each; plugin.cu calls them in this order.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "attention/cuda/plugin.h"

namespace bitreel::cuda {

inline constexpr float least_amax = 1e-30f;
inline constexpr float e4m3_max = 448.0f;

// How a head's keys and values are summed: of each sample_period those that count are the first `run`, in chunks of so
// many tokens in all, of which there are `count`.
struct Chunks {
  int run, tokens, count;
};

inline Chunks chunks_of(const PackedCall& call, int run) {
  const int tokens = chunk_tokens(call) * (sample_period / run);
  return {run, tokens, (call.keys + tokens - 1) / tokens};
}

struct SummedChunks {
  Chunks of_keys, of_values;
  int places;  // that a head's chunks have in memory, of keys and of values
};

inline SummedChunks summed_chunks(const Recipe& recipe, const PackedCall& call) {
  return {chunks_of(call, run_of_mean(recipe)), chunks_of(call, has_sampled_scale(recipe) ? sample_run : sample_period),
          chunk_count(call)};
}

// mask.cu: kept, keys_seen, key_count, of calls with a key mask.
int keys_that_count(const SourceCall& source, const PackedCall& call, cudaStream_t stream);
// quantize.cu: q, q_scales, lse_shift, q_means; k, k_scales, k_mean; v, v_scales, v_mean.
int quantize_heads(const SourceCall& source, const Recipe& recipe, const PackedCall& call, cudaStream_t stream);
// sm90/projections.cu, where the plugin has it, of a call that has norms: sums of chunks of keys; q, k, their scales,
// and v_mean.
int sum_projected_keys(const SourceCall& source, const SummedChunks& chunks, const PackedCall& call,
                       cudaStream_t stream);
int integers_of_projections(const SourceCall& source, const Recipe& recipe, const PackedCall& call,
                            cudaStream_t stream);
// bias.cu: qk_bias.
int bias_of_means(const SourceCall& source, const PackedCall& call, cudaStream_t stream);

// Calls body(T{}, std::integral_constant<int, Dim>{}).
template <class Body>
int with_element_and_dim(Element element, int dim, const Body& body) {
  const auto with_dim = [&](auto type) {
    return dim == 64 ? body(type, std::integral_constant<int, 64>{}) : body(type, std::integral_constant<int, 128>{});
  };
  switch (element) {
    case Element::fp16:
      return with_dim(__half{});
    case Element::bf16:
      return with_dim(__nv_bfloat16{});
    default:
      return with_dim(0.0f);
  }
}

}  // namespace bitreel::cuda
