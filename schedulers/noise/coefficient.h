// A scheduler's coefficient as the 0-dim fp64 tensor that the peer multiplies with.
#pragma once

#include <ATen/ops/scalar_tensor.h>

namespace bitreel {

inline at::Tensor coefficient(double value) {
  return at::scalar_tensor(value, at::TensorOptions(at::kDouble));
}

}  // namespace bitreel
