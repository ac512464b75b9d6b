// Heads as the quantization pass norms them, written as they are then, on the host (norm_heads.cu).
#pragma once

#include "attention/cuda/plugin.h"

namespace bitreel::cuda {

// norm: q's or k's of `norms`; out: [B, H, N, D] of `element`.
void norm_heads(const Rows& x, Element element, int batch, int heads, int tokens, int dim, const NormOfHead& norm,
                const NormsOfHeads& norms, void* out);

}  // namespace bitreel::cuda
