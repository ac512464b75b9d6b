#include "tests/attention/cuda/norm_heads.h"

#include "attention/cuda/sm90/projections.cuh"
#include "attention/cuda/start.cuh"

namespace bitreel::cuda {
namespace {

// grid (tokens, a batch's heads, batches); a warp, of which as many lanes as a token has vectors write.
template <class T, int Dim>
__global__ void norm_token(Rows x, NormOfHead norm_of_head, NormsOfHeads norms, T* out) {
  const int token = blockIdx.x, head = blockIdx.y, batch = blockIdx.z;
  const int thread = threadIdx.x, lane = thread % (Dim / 8), channel = lane * 8;
  const sm90::NormOfTokens<T, Dim / 8> norm(norm_of_head, norms, channel);
  Octet<T> octet = loaded(sm90::rows_at<T>(x, batch, head, channel) + token * x.token_stride);
  norm(octet, token, channel);
  if (thread == lane) store(out + ((batch * gridDim.y + head) * gridDim.x + token) * Dim + channel, octet);
}

}  // namespace

void norm_heads(const Rows& x, Element element, int batch, int heads, int tokens, int dim, const NormOfHead& norm,
                const NormsOfHeads& norms, void* out) {
  with_element_and_dim(element, dim, [&](auto type, auto of_head) {
    using T = decltype(type);
    start(norm_token<T, of_head>, dim3(tokens, heads, batch), 32, nullptr, x, norm, norms, static_cast<T*>(out));
    return 0;
  });
}

}  // namespace bitreel::cuda
