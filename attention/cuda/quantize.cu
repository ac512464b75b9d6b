// The quantization pass (statistics.cuh, tokens.cuh, values.cuh): sums of chunks of k and v, what follows from them,
// then numbers of v and integers of q and k, each a launch. Queries and keys that are still to be normed are
// sm90/projections.cu's.
//
// Keys whose mean is of some, and values whose scales are, are read once and an eighth (KeyMean, ValueScale); others
// twice. One launch for all, in which a head's sums go so shortly before its integers that it is still in the GPU's
// cache, was slower: LOG.md.
#include "attention/cuda/start.cuh"
#include "attention/cuda/values.cuh"

namespace bitreel::cuda {
namespace {

// grid (chunks, key heads, values alone or keys as well).
template <class T, int Dim>
__global__ void __launch_bounds__(pass_threads) sum_chunks(SourceCall source, PackedCall call, SummedChunks chunks) {
  take_turn();
  __shared__ SumMemory<Dim> memory;
  const int head = blockIdx.y, chunk = blockIdx.x;
  const bool of_keys = blockIdx.z == 1;
  const Chunks& own = of_keys ? chunks.of_keys : chunks.of_values;
  if (chunk >= own.count) return;  // there are more of the others
  if (of_keys) {
    sum_chunk<T, Dim, Summed::keys>(source, call, own, chunks.places, head, chunk, memory);
  } else if (own.run == sample_period) {
    sum_chunk<T, Dim, Summed::values>(source, call, own, chunks.places, head, chunk, memory);
  } else {
    sum_chunk<T, Dim, Summed::sampled_values>(source, call, own, chunks.places, head, chunk, memory);
  }
}

// grid (key heads).
template <int Dim>
__global__ void __launch_bounds__(finish_threads)
    finish_heads(SourceCall source, Recipe recipe, PackedCall call, SummedChunks chunks) {
  take_turn();
  __shared__ FinishMemory<Dim> memory;
  finish_statistics(source, recipe, call, chunks, blockIdx.x, memory);
}

// CTAs on a multiprocessor: as many as ptxas has registers for without a spill. What is closest is for Hopper, on which
// it was measured.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ == 900
inline constexpr bool is_hopper = true;
#else
inline constexpr bool is_hopper = false;
#endif
template <class T, int Dim>
constexpr int key_blocks = Dim == 128                    ? 3
                           : is_hopper && sizeof(T) == 2 ? 6
                                                         : 5;
template <class T, int Dim, int Bytes, Values which>
constexpr int value_blocks = sizeof(T) == 4 || Bytes == 2 ? 3
                             : which == Values::known     ? 5
                             : !is_hopper                 ? 3
                             : Dim == 128                 ? 4
                                                          : 7;

// grid (blocks of 128 values, a batch's key heads, batches). The last heads come first: their values, where they have
// been read before, are still in the GPU's cache.
template <class T, int Dim, int Bytes, Values which>
__global__ void __launch_bounds__(token_threads, value_blocks<T, Dim, Bytes, which>)
    numbers_of_values(SourceCall source, PackedCall call) {
  await_turn();  // first: what comes next doesn't wait for the heads' ends again
  let_next_begin();
  __shared__ ValueMemory<Dim, Bytes> memory;
  const int batch = gridDim.z - 1 - blockIdx.z, head = gridDim.y - 1 - blockIdx.y;
  quantize_values<T, Dim, Bytes, which>(source, call, blockIdx.x, batch, head, memory);
}

// Once more, of heads whose values are beyond their sampled scales: grid (again_ctas, a batch's key heads, batches),
// since there hardly are any.
inline constexpr int again_ctas = 2;
template <class T, int Dim, int Bytes>
__global__ void __launch_bounds__(token_threads, 3)
    numbers_of_values_again(SourceCall source, Recipe recipe, PackedCall call) {
  take_turn();
  __shared__ ValueMemory<Dim, Bytes> memory;
  const int batch = blockIdx.z, of_batch = blockIdx.y;
  const std::int64_t head = std::int64_t{batch} * call.key_heads + of_batch;
  if (!any_beyond<Dim>(source, head) || !widen_scales(source, recipe, call, head, blockIdx.x == 0, memory)) return;
  const int blocks = padded(call.keys) / block_tokens;
  for (int block = blockIdx.x; block < blocks; block += gridDim.x) {
    quantize_values<T, Dim, Bytes, Values::again>(source, call, block, batch, of_batch, memory);
    __syncthreads();
  }
}

// grid (blocks of 128 queries, a batch's query heads, batches). Beside what comes before, whose memory it doesn't read:
// without a log-sum-exp queries don't ask for the keys' mean.
template <class T, int Dim>
__global__ void __launch_bounds__(token_threads)
    integers_of_queries(SourceCall source, Recipe recipe, PackedCall call) {
  let_next_begin();
  if (call.lse_shift != nullptr) await_turn();
  __shared__ TokenMemory<Dim> memory;
  quantize_tokens<T, Dim, Side::query>(source, recipe, call, blockIdx.x, blockIdx.z, blockIdx.y, memory);
  await_turn_once();
}

// grid (blocks of 128 keys and block -1 before them, a batch's key heads, batches). Beside values and queries but for
// block -1: the heads' ends are over.
template <class T, int Dim>
__global__ void __launch_bounds__(token_threads, key_blocks<T, Dim>)
    integers_of_keys(SourceCall source, Recipe recipe, PackedCall call) {
  let_next_begin();
  const int block = static_cast<int>(blockIdx.x) - 1;
  if (block < 0) await_turn();
  __shared__ TokenMemory<Dim> memory;
  quantize_keys<T, Dim>(source, recipe, call, block, blockIdx.z, blockIdx.y, memory);
}

template <class T, int Dim>
int launch(const SourceCall& source, const Recipe& recipe, const PackedCall& call, cudaStream_t stream) {
  const bool normed = source.norms.q.weight == nullptr;
  const SummedChunks chunks = summed_chunks(recipe, call);
  const int key_heads = call.batch * call.key_heads;
  const dim3 of_queries(padded(call.queries) / block_tokens, call.query_heads, call.batch);
  const dim3 of_values(padded(call.keys) / block_tokens, call.key_heads, call.batch);
  const dim3 of_keys(of_values.x + 1, of_values.y, of_values.z), of_some_values(again_ctas, of_values.y, of_values.z);
  // cuda-sm90's formats mean a GPU that has it.
  const bool early = call.key_scales == KeyScales::warpgroup;
  const auto begin = [&](auto* kernel, dim3 grid, int threads, const auto&... arguments) {
    early ? start_early(kernel, grid, threads, stream, arguments...)
          : start(kernel, grid, threads, stream, arguments...);
  };
  const auto write_values = [&](auto bytes) {
    if (has_sampled_scale(recipe)) {
      begin(numbers_of_values<T, Dim, bytes, Values::sampled>, of_values, token_threads, source, call);
      begin(numbers_of_values_again<T, Dim, bytes>, of_some_values, token_threads, source, recipe, call);
    } else {
      begin(numbers_of_values<T, Dim, bytes, Values::known>, of_values, token_threads, source, call);
    }
  };

  const int most_chunks = normed ? std::max(chunks.of_keys.count, chunks.of_values.count) : chunks.of_values.count;
  begin(sum_chunks<T, Dim>, dim3(most_chunks, key_heads, normed ? 2 : 1), pass_threads, source, call, chunks);
  if (!normed) {
    if (const int error = sum_projected_keys(source, chunks, call, stream); error != cudaSuccess) return error;
  }
  begin(finish_heads<Dim>, key_heads, finish_threads, source, recipe, call, chunks);
  if (call.values == ValueFormat::int8 || call.values == ValueFormat::e4m3) {
    write_values(std::integral_constant<int, 1>{});
  } else {
    write_values(std::integral_constant<int, 2>{});
  }
  if (!normed) return integers_of_projections(source, recipe, call, stream);
  begin(integers_of_queries<T, Dim>, of_queries, token_threads, source, recipe, call);
  begin(integers_of_keys<T, Dim>, of_keys, token_threads, source, recipe, call);
  return last_start_error();
}

}  // namespace

#ifndef BITREEL_CUDA_SM90
int sum_projected_keys(const SourceCall&, const SummedChunks&, const PackedCall&, cudaStream_t) {
  return cudaErrorNotSupported;
}
int integers_of_projections(const SourceCall&, const Recipe&, const PackedCall&, cudaStream_t) {
  return cudaErrorNotSupported;
}
#endif

int quantize_heads(const SourceCall& source, const Recipe& recipe, const PackedCall& call, cudaStream_t stream) {
  return with_element_and_dim(source.element, call.dim, [&](auto element, auto dim) {
    return launch<decltype(element), dim>(source, recipe, call, stream);
  });
}

}  // namespace bitreel::cuda
