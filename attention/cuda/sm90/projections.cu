#include "attention/cuda/sm90/projections.cuh"

#include "attention/cuda/start.cuh"

namespace bitreel::cuda {
namespace sm90 {
namespace {

constexpr int blocks = 3;  // on a multiprocessor: of 85 registers a thread

// grid (a batch's heads, chunks, batches). Heads come first: a token's lie side by side, and have the same angles.
template <class T, int Dim>
__global__ void __launch_bounds__(pass_threads, std::is_same_v<T, __half> ? 1 : blocks)  // fp16 would spill
    norm_chunks_of_keys(SourceCall source, PackedCall call, int run) {
  take_turn();
  __shared__ SumMemory<Dim> memory;
  norm_keys<T, Dim>(source, call, run, blockIdx.z, blockIdx.x, blockIdx.y, gridDim.y, memory);
}

// The same grid.
template <class T, int Dim>
__global__ void __launch_bounds__(pass_threads, blocks)
    integers_of_projections(SourceCall source, Recipe recipe, PackedCall call) {
  take_turn();
  quantize_projected_queries<T, Dim>(source, recipe, call, blockIdx.z, blockIdx.x, blockIdx.y);
}

}  // namespace
}  // namespace sm90

int norm_projections(const SourceCall& source, const Recipe& recipe, const PackedCall& call, cudaStream_t stream) {
  return with_element_and_dim(source.element, call.dim, [&](auto element, auto dim) -> int {
    using T = decltype(element);
    if constexpr (sizeof(T) == 4) {
      return cudaErrorNotSupported;
    } else {
      const dim3 grid(call.key_heads, chunk_count(call), call.batch);
      start_early(sm90::integers_of_projections<T, dim>, grid, pass_threads, stream, source, recipe, call);
      start_early(sm90::norm_chunks_of_keys<T, dim>, grid, pass_threads, stream, source, call, run_of_mean(recipe));
      return last_start_error();
    }
  });
}

}  // namespace bitreel::cuda
