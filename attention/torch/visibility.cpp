#include "attention/torch/visibility.h"

#include <ATen/ATen.h>

namespace bitreel {

at::Tensor visible_keys(const AttendCall& call) {
  at::Tensor visible;
  if (call.causality == Causality::bottom_right) {
    const std::int64_t queries = call.q.size(2), keys = call.k.size(2);
    visible = at::ones({1, 1, queries, keys}, call.q.options().dtype(at::kBool)).tril(keys - queries);
  }
  if (call.key_mask.defined()) {
    const at::Tensor counted = call.key_mask.unsqueeze(1).unsqueeze(1);
    visible = visible.defined() ? visible.logical_and(counted) : counted;
  }
  return visible;
}

at::Tensor only_counted(const at::Tensor& keys, const AttendCall& call) {
  if (!call.key_mask.defined()) return keys;
  return keys.masked_fill(call.key_mask.logical_not().unsqueeze(1).unsqueeze(3), 0);
}

}  // namespace bitreel
