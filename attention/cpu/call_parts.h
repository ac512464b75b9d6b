// A call cut into what CPU kernels take: pointers, strides, and which keys count.
//
//   const std::vector<Visibility> visible = visibility_of(call);   // by batch
//   kernels.pack(keys_and_values_of(call, visible[b], b, key_head), ...);
//   kernels.attend(queries_of(call, visible[b], b, head, {.first = 256, .most = 128}), ...);
//
// They point into the call's tensors and the visibility, which have to stay.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "attention/backend.h"
#include "attention/cpu/kernels.h"

namespace bitreel::cpu {

// Why no kernel on the CPU takes a call, whatever its precision; empty when one may.
std::string common_refusal(const AttendCall& call);

// Which keys of a batch count, and how many of them each query sees.
struct Visibility {
  std::vector<std::int64_t> kept;  // their places; unused when all count
  std::int64_t count = 0;
  std::vector<std::int32_t> seen;  // by query
};

std::vector<Visibility> visibility_of(const AttendCall& call);

KeysAndValues keys_and_values_of(const AttendCall& call, const Visibility& visible, std::int64_t batch,
                                 std::int64_t head);

// A block of a head's queries: from `first` on, as many as there are up to `most`.
struct QueryRange {
  std::int64_t first, most;
};

Queries queries_of(const AttendCall& call, const Visibility& visible, std::int64_t batch, std::int64_t head,
                   QueryRange range);

}  // namespace bitreel::cpu
