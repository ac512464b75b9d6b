// LibTorch's scaled_dot_product_attention, asked in the dtype in which this machine does it best.
#pragma once

#include <ATen/core/Tensor.h>

namespace bitreel {

// As attend_reference, computed in q's dtype or, on a CPU without bf16 tiles, in fp32: there LibTorch's half-precision
// kernel is slower than its fp32 one and rounds more.
at::Tensor attend_sdpa(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                       const at::Tensor& bias);

}  // namespace bitreel
