// Which query sees which key, as a mask that softmax(q k^T) can take: causality and the key mask of a call in one.
//
//   const at::Tensor seen = visible_keys(call);   // bool, broadcasts to [B, Hq, Nq, Nkv]; undefined when all is seen
#pragma once

#include <ATen/core/Tensor.h>

#include "attention/backend.h"

namespace bitreel {

at::Tensor visible_keys(const AttendCall& call);

// k or v with zeros for keys that don't count: a weight of zero does not undo NaN.
at::Tensor only_counted(const at::Tensor& keys, const AttendCall& call);

}  // namespace bitreel
