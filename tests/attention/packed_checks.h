// What the quantization pass of CUDA kernels wrote, against the oracle's integers, numbers, scales and means.
//
//   for (std::int64_t head = 0; head < heads; ++head) expect_integers_of_oracle(prepared.tensors(), call, head);
#pragma once

#include "attention/backend.h"
#include "attention/cuda/prepared_call.h"

namespace bitreel {

// Of one query head of the first batch: everything but scales of queries is the oracle's bit for bit, what the call
// packs around it is as packed.h says.
void expect_integers_of_oracle(const cuda::PackedTensors& packed, const AttendCall& call, std::int64_t head);

}  // namespace bitreel
