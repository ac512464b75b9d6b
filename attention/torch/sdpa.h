// LibTorch's scaled_dot_product_attention, asked in the dtype in which this machine does it best: q's, or fp32 on a CPU
// without bf16 tiles, where LibTorch's half-precision kernel is slower than its fp32 one and rounds more.
//
// Full precision only. A causal mask that is not square, a key mask and a bias go to LibTorch as one mask of
// [.., Nq, Nkv]. Log-sum-exp, which LibTorch does not return, is computed apart in fp32 for as much again as q k^T.
#pragma once

#include "attention/backend.h"

namespace bitreel {

// Its `kernel` is what LibTorch picks for such tensors without a mask: "cuDNN", "FlashAttention", "memory-efficient" or
// "plain operations".
const Backend& sdpa_backend();

}  // namespace bitreel
