// Attention as the formula reads, in fp64: the oracle that every other backend is measured against.
#pragma once

#include <ATen/core/Tensor.h>

namespace bitreel {

// softmax(scale * q k^T + bias) v, shapes as in attention.h; computed in fp64, returned in q's dtype.
at::Tensor attend_reference(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                            const at::Tensor& bias);

}  // namespace bitreel
