#include "attention/reference.h"

#include <ATen/ATen.h>

namespace bitreel {

at::Tensor attend_reference(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                            const at::Tensor& bias) {
  at::Tensor logits = at::matmul(q.to(at::kDouble), k.to(at::kDouble).transpose(-2, -1)) * scale;
  if (bias.defined()) logits = logits + bias.to(at::kDouble);
  const at::Tensor weights = at::softmax(logits, -1);
  return at::matmul(weights, v.to(at::kDouble)).to(q.scalar_type());
}

}  // namespace bitreel
