// The quantization pass: sums of chunks of k and v, what follows from them, then integers of q, k and v
// (statistics.cuh, tokens.cuh, values.cuh). Two launches for the means of keys and values, three for the integers.
// Queries and keys that are still to be normed become integers and keys with their sums first (sm90/projections.cu).
//
// v is read twice, and k unless its mean is of some (KeyMean). One launch for all, in which a head's sums go so shortly
// before its integers that it is still in the GPU's cache, was slower: LOG.md.
#include "attention/cuda/start.cuh"
#include "attention/cuda/values.cuh"

namespace bitreel::cuda {
namespace {

// grid (chunks, key heads, `first` alone or both). Chunks of keys are longer where some are summed: the last ones have
// nothing to do.
template <class T, int Dim>
__global__ void __launch_bounds__(pass_threads)
    sum_chunks(SourceCall source, PackedCall call, int key_tokens, Summed first) {
  take_turn();
  __shared__ SumMemory<Dim> memory;
  const int head = blockIdx.y, chunk = blockIdx.x, tokens = chunk_tokens(call);
  if (static_cast<int>(first) + blockIdx.z == static_cast<int>(Summed::values)) {
    sum_chunk<T, Dim, Summed::values>(source, call, /*sampled=*/false, tokens, head, chunk, gridDim.x, memory);
  } else if (std::int64_t{chunk} * key_tokens < call.keys) {
    sum_chunk<T, Dim, Summed::keys>(source, call, key_tokens != tokens, key_tokens, head, chunk, gridDim.x, memory);
  }
}

// grid (key heads).
template <int Dim>
__global__ void __launch_bounds__(finish_threads)
    finish_heads(SourceCall source, Recipe recipe, PackedCall call, int chunks, int key_chunks) {
  take_turn();
  __shared__ FinishMemory<Dim> memory;
  finish_statistics<Dim>(source, recipe, call, blockIdx.x, chunks, key_chunks, memory);
}

// grid (blocks of 128 queries, a batch's query heads, batches).
template <class T, int Dim>
__global__ void __launch_bounds__(token_threads)
    integers_of_queries(SourceCall source, Recipe recipe, PackedCall call) {
  take_turn();
  __shared__ TokenMemory<Dim> memory;
  quantize_tokens<T, Dim, Side::query>(source, recipe, call, blockIdx.x, blockIdx.z, blockIdx.y, memory);
}

// CTAs of keys on a multiprocessor. Of 16-bit numbers and 64 channels six, of 80 registers a thread, where ptxas needs
// no more.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ == 890
inline constexpr int most_key_blocks = 5;
#else
inline constexpr int most_key_blocks = 6;
#endif
template <class T, int Dim>
constexpr int key_blocks = Dim == 128       ? 3
                           : sizeof(T) == 2 ? most_key_blocks
                                            : 5;

// grid (blocks of 128 keys and one more, a batch's key heads, batches). The first CTA of a head makes its values' mean
// exact; where a key spoils the head, before or after its scales become NaN, as its outputs do either way.
template <class T, int Dim>
__global__ void __launch_bounds__(token_threads, key_blocks<T, Dim>)
    integers_of_keys(SourceCall source, Recipe recipe, PackedCall call) {
  take_turn();
  __shared__ TokenMemory<Dim> memory;
  const int block = static_cast<int>(blockIdx.x) - 1, head = blockIdx.y, batch = blockIdx.z;
  if (block >= 0) {
    quantize_tokens<T, Dim, Side::key>(source, recipe, call, block, batch, head, memory);
  } else if (source.v_sums != nullptr) {
    finish_mean_of_values<Dim>(source, call, batch * call.key_heads + head);
  }
}

// grid (blocks of 128 values, a batch's key heads, batches). The last heads come first: their values, summed last, are
// still in the GPU's cache.
template <class T, int Dim, int Bytes>
__global__ void __launch_bounds__(token_threads) numbers_of_values(SourceCall source, PackedCall call) {
  take_turn();
  __shared__ ValueMemory<Dim, Bytes> memory;
  const int batch = gridDim.z - 1 - blockIdx.z, head = gridDim.y - 1 - blockIdx.y;
  quantize_values<T, Dim, Bytes>(source, call, blockIdx.x, batch, head, memory);
}

template <class T, int Dim>
int launch(SourceCall source, const Recipe& recipe, const PackedCall& call, cudaStream_t stream) {
  const int chunks = chunk_count(call), key_heads = call.batch * call.key_heads;
  const dim3 of_queries(padded(call.queries) / block_tokens, call.query_heads, call.batch);
  const dim3 of_values(padded(call.keys) / block_tokens, call.key_heads, call.batch);
  // cuda-sm90's formats mean a GPU that has it.
  const bool early = call.key_scales == KeyScales::warpgroup;
  const auto begin = [&](auto* kernel, dim3 grid, int threads, const auto&... arguments) {
    early ? start_early(kernel, grid, threads, stream, arguments...)
          : start(kernel, grid, threads, stream, arguments...);
  };
  const bool normed = source.norms.keys == nullptr;
  const int key_tokens = tokens_of_key_sums(recipe, call);
  const int key_chunks = normed ? (call.keys + key_tokens - 1) / key_tokens : chunks;
  if (normed) {
    begin(sum_chunks<T, Dim>, dim3(chunks, key_heads, 2), pass_threads, source, call, key_tokens, Summed::keys);
  } else {
    if (const int error = norm_projections(source, recipe, call, stream); error != cudaSuccess) return error;
    source.k = {.data = source.norms.keys,
                .batch_stride = std::int64_t{call.key_heads} * call.keys * Dim,
                .head_stride = std::int64_t{call.keys} * Dim,
                .token_stride = Dim};
    begin(sum_chunks<T, Dim>, dim3(chunks, key_heads, 1), pass_threads, source, call, key_tokens, Summed::values);
  }
  begin(finish_heads<Dim>, key_heads, finish_threads, source, recipe, call, chunks, key_chunks);
  if (call.values == ValueFormat::int8 || call.values == ValueFormat::e4m3) {
    begin(numbers_of_values<T, Dim, 1>, of_values, token_threads, source, call);
  } else {
    begin(numbers_of_values<T, Dim, 2>, of_values, token_threads, source, call);
  }
  if (normed) {
    begin(integers_of_queries<T, Dim>, of_queries, token_threads, source, recipe, call);
  }
  begin(integers_of_keys<T, Dim>, dim3(of_values.x + 1, of_values.y, of_values.z), token_threads, source, recipe, call);
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
