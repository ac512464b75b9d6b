// What the quantization pass of CUDA kernels wrote, against the oracle's integers, numbers, scales and means.
//
//   put_values_beyond_samples(in.v);   // [B, H, N, D]
//   for (std::int64_t head = 0; head < heads; ++head) expect_integers_of_oracle(prepared.tensors(), call, head);
#pragma once

#include "attention/backend.h"
#include "attention/cuda/prepared_call.h"

namespace bitreel {

// Of one query head of the first batch: everything but scales of queries is the oracle's bit for bit, what the call
// packs around it is as packed.h says.
void expect_integers_of_oracle(const cuda::PackedTensors& packed, const AttendCall& call, std::int64_t head);

// Some values of the first batch's head 1 become larger than the room above a sample's (Recipe::v_scale): one in the
// middle, the last one, one of a channel that has nothing else. All are such that fp32 holds sums of some: means are
// exact.
void put_values_beyond_samples(at::Tensor& v);

}  // namespace bitreel
