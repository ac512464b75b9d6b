#include "attention/cuda/sm90/projections.cuh"

#include "attention/cuda/start.cuh"

namespace bitreel::cuda {
namespace sm90 {
namespace {

// Grids: (a batch's heads, chunks or blocks, batches). Heads come first: a token's lie side by side, and have the same
// angles.
template <class T, int Dim>
__global__ void __launch_bounds__(pass_threads, 2)
    sum_chunks_of_keys(SourceCall source, PackedCall call, SummedChunks chunks) {
  take_turn();
  __shared__ SumMemory<Dim> memory;
  sum_normed_keys<T, Dim>(source, call, chunks, blockIdx.z, blockIdx.x, blockIdx.y, memory);
}

template <class T, int Dim>
__global__ void __launch_bounds__(pass_threads, 3)
    integers_of_normed_queries(SourceCall source, Recipe recipe, PackedCall call) {
  let_next_begin();
  quantize_projected_queries<T, Dim>(source, recipe, call, blockIdx.z, blockIdx.x, blockIdx.y);
  await_turn_once();
}

// Block -1 comes first, and alone waits for its turn, as in quantize.cu.
template <class T, int Dim>
__global__ void __launch_bounds__(token_threads)
    integers_of_normed_keys(SourceCall source, Recipe recipe, PackedCall call) {
  let_next_begin();
  const int block = static_cast<int>(blockIdx.y) - 1;
  if (block < 0) await_turn();
  __shared__ TokenMemory<Dim> memory;
  const NormOfTokens<T, Dim / 8> norm(source.norms.k, source.norms, threadIdx.x % (Dim / 8) * 8);
  quantize_keys<T, Dim>(source, recipe, call, block, blockIdx.z, blockIdx.x, memory, norm);
}

// Calls body(T{}, dim) for the types that have kernels.
template <class Body>
int with_projections(const SourceCall& source, const PackedCall& call, const Body& body) {
  return with_element_and_dim(source.element, call.dim, [&](auto element, auto dim) -> int {
    if constexpr (sizeof(element) == 4) {
      return cudaErrorNotSupported;
    } else {
      body(element, dim);
      return last_start_error();
    }
  });
}

}  // namespace
}  // namespace sm90

int sum_projected_keys(const SourceCall& source, const SummedChunks& chunks, const PackedCall& call,
                       cudaStream_t stream) {
  return sm90::with_projections(source, call, [&](auto element, auto dim) {
    const dim3 grid(call.key_heads, chunks.of_keys.count, call.batch);
    start_early(sm90::sum_chunks_of_keys<decltype(element), dim>, grid, pass_threads, stream, source, call, chunks);
  });
}

int integers_of_projections(const SourceCall& source, const Recipe& recipe, const PackedCall& call,
                            cudaStream_t stream) {
  return sm90::with_projections(source, call, [&](auto element, auto dim) {
    using T = decltype(element);
    const dim3 of_queries(call.query_heads, chunk_count(call), call.batch);
    const dim3 of_keys(call.key_heads, padded(call.keys) / block_tokens + 1, call.batch);
    start_early(sm90::integers_of_normed_queries<T, dim>, of_queries, pass_threads, stream, source, recipe, call);
    start_early(sm90::integers_of_normed_keys<T, dim>, of_keys, token_threads, stream, source, recipe, call);
  });
}

}  // namespace bitreel::cuda
