// The quantization pass: sums of chunks of k and v, what follows from them, then integers of q, k and v
// (statistics.cuh, tokens.cuh, values.cuh). Two launches for the means of keys and values, three for the integers.
// Queries and keys that are still to be normed become integers and keys with their sums first (sm90/projections.cu).
//
// k and v are read twice. One launch for all, in which a head's sums go so shortly before its integers that it is still
// in the GPU's cache, was slower: LOG.md.
#include "attention/cuda/start.cuh"
#include "attention/cuda/values.cuh"

namespace bitreel::cuda {
namespace {

enum class Summed { keys, values };

// grid (chunks, key heads, `first` alone or both).
template <class T, int Dim>
__global__ void __launch_bounds__(pass_threads) sum_chunks(SourceCall source, PackedCall call, Summed first) {
  take_turn();
  __shared__ SumMemory<Dim> memory;
  const int which = static_cast<int>(first) + blockIdx.z;
  sum_chunk<T, Dim>(source, call, blockIdx.y, which, blockIdx.x, gridDim.x, memory);
}

// grid (key heads).
template <int Dim>
__global__ void __launch_bounds__(finish_threads)
    finish_heads(SourceCall source, Recipe recipe, PackedCall call, int chunks) {
  take_turn();
  __shared__ FinishMemory<Dim> memory;
  finish_statistics<Dim>(source, recipe, call, blockIdx.x, chunks, memory);
}

// grid (blocks of 128 tokens, a batch's heads, batches).
template <class T, int Dim, Side side>
__global__ void __launch_bounds__(token_threads) integers_of_tokens(SourceCall source, Recipe recipe, PackedCall call) {
  take_turn();
  __shared__ TokenMemory<Dim> memory;
  quantize_tokens<T, Dim, side>(source, recipe, call, blockIdx.x, blockIdx.z, blockIdx.y, memory);
}

// The same grid. The last heads come first: their values, summed last, are still in the GPU's cache.
template <class T, int Dim, int Bytes>
__global__ void __launch_bounds__(token_threads) numbers_of_values(SourceCall source, PackedCall call) {
  take_turn();
  __shared__ ValueMemory<Dim, Bytes> memory;
  const int batch = gridDim.z - 1 - blockIdx.z, head = gridDim.y - 1 - blockIdx.y;
  quantize_values<T, Dim, Bytes>(source, call, blockIdx.x, batch, head, memory);
}

// grid (key heads).
template <int Dim>
__global__ void __launch_bounds__(Dim) exact_means(SourceCall source, PackedCall call) {
  take_turn();
  finish_mean_of_values<Dim>(source, call, blockIdx.x);
}

template <class T, int Dim>
int launch(SourceCall source, const Recipe& recipe, const PackedCall& call, cudaStream_t stream) {
  const int chunks = chunk_count(call), key_heads = call.batch * call.key_heads;
  const dim3 of_queries(padded(call.queries) / block_tokens, call.query_heads, call.batch);
  const dim3 of_keys(padded(call.keys) / block_tokens, call.key_heads, call.batch);
  // cuda-sm90's formats mean a GPU that has it.
  const bool early = call.key_scales == KeyScales::warpgroup;
  const auto begin = [&](auto* kernel, dim3 grid, int threads, const auto&... arguments) {
    early ? start_early(kernel, grid, threads, stream, arguments...)
          : start(kernel, grid, threads, stream, arguments...);
  };
  const bool normed = source.norms.keys == nullptr;
  if (normed) {
    begin(sum_chunks<T, Dim>, dim3(chunks, key_heads, 2), pass_threads, source, call, Summed::keys);
  } else {
    if (const int error = norm_projections(source, recipe, call, stream); error != cudaSuccess) return error;
    source.k = {.data = source.norms.keys,
                .batch_stride = std::int64_t{call.key_heads} * call.keys * Dim,
                .head_stride = std::int64_t{call.keys} * Dim,
                .token_stride = Dim};
    begin(sum_chunks<T, Dim>, dim3(chunks, key_heads, 1), pass_threads, source, call, Summed::values);
  }
  begin(finish_heads<Dim>, key_heads, finish_threads, source, recipe, call, chunks);
  if (call.values == ValueFormat::int8 || call.values == ValueFormat::e4m3) {
    begin(numbers_of_values<T, Dim, 1>, of_keys, token_threads, source, call);
  } else {
    begin(numbers_of_values<T, Dim, 2>, of_keys, token_threads, source, call);
  }
  if (normed) {
    begin(integers_of_tokens<T, Dim, Side::query>, of_queries, token_threads, source, recipe, call);
  }
  begin(integers_of_tokens<T, Dim, Side::key>, of_keys, token_threads, source, recipe, call);
  if (source.v_sums != nullptr) begin(exact_means<Dim>, dim3(key_heads), Dim, source, call);
  return last_start_error();
}

}  // namespace

#ifndef BITREEL_CUDA_SM90
int norm_projections(const SourceCall&, const Recipe&, const PackedCall&, cudaStream_t) {
  return cudaErrorNotSupported;
}
#endif

int quantize_heads(const SourceCall& source, const Recipe& recipe, const PackedCall& call, cudaStream_t stream) {
  return with_element_and_dim(source.element, call.dim, [&](auto element, auto dim) {
    return launch<decltype(element), decltype(dim)::value>(source, recipe, call, stream);
  });
}

}  // namespace bitreel::cuda
