// Which keys count: their indices, in order, and how many are before each (packed.h).
#include "attention/cuda/quantize.cuh"
#include "attention/cuda/start.cuh"

namespace bitreel::cuda {
namespace {

constexpr int threads = 1024;

// One CTA a batch.
__global__ void __launch_bounds__(threads) compact_keys(SourceCall source, PackedCall call) {
  __shared__ int warp_counts[threads / 32];
  const int batch = blockIdx.x, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const bool* const mask = source.key_mask + batch * source.mask_batch_stride;
  std::int32_t* const kept = source.kept + std::int64_t{batch} * call.keys;
  std::int32_t* const seen = call.keys_seen + std::int64_t{batch} * (call.keys + 1);
  int before = 0;
  for (int first = 0; first < call.keys; first += threads) {
    const int key = first + threadIdx.x;
    const bool counts = key < call.keys && mask[key * source.mask_key_stride];
    const unsigned ballot = __ballot_sync(~0u, counts);
    if (lane == 0) warp_counts[warp] = __popc(ballot);
    __syncthreads();
    int here = before, all = 0;
    for (int w = 0; w < threads / 32; ++w) {
      here += w < warp ? warp_counts[w] : 0;
      all += warp_counts[w];
    }
    here += __popc(ballot & ((1u << lane) - 1));
    if (key < call.keys) seen[key] = here;
    if (counts) kept[here] = key;
    before += all;
    __syncthreads();
  }
  if (threadIdx.x == 0) {
    seen[call.keys] = before;
    call.key_count[batch] = before;
  }
}

}  // namespace

int keys_that_count(const SourceCall& source, const PackedCall& call, cudaStream_t stream) {
  start(compact_keys, dim3(call.batch), threads, stream, source, call);
  return last_start_error();
}

}  // namespace bitreel::cuda
