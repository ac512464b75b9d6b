// A call cut into what CPU kernels take: pointers, strides, and which keys count.
//
//   const CallParts parts(call, 128);               // queries in blocks of 128
//   kernels.pack(parts.keys_and_values(0), recipe, head);     // for each of parts.key_heads()
//   kernels.quantize(parts.queries(0), head, recipe, work);   // for each of parts.key_heads() * parts.blocks()
//
// Key heads are numbered over all batches. So are blocks of queries: block b attends to key head b / parts.blocks().
// What the kernels get points into the call's tensors and the parts, which have to stay.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "attention/backend.h"
#include "attention/cpu/kernels.h"

namespace bitreel::cpu {

// What CPU kernels lack on every other device.
inline constexpr std::string_view only_on_the_cpu = "it runs on the CPU only";

// Why no kernel on the CPU takes a call, whatever its precision; empty when one may.
std::string common_refusal(const AttendCall& call);

class CallParts {
 public:
  CallParts(const AttendCall& call, std::int64_t queries_of_block);

  [[nodiscard]] std::int64_t key_heads() const { return call_.k.size(0) * call_.k.size(1); }
  [[nodiscard]] std::int64_t blocks() const { return blocks_; }  // that attend to one key head
  // How many key heads to pack before their queries attend: what fits, as then they are still in the cache and memory
  // stays small, but enough for every thread.
  [[nodiscard]] std::int64_t together(std::int64_t fit) const;

  [[nodiscard]] std::int64_t keys(std::int64_t key_head) const { return visible_to(key_head).count; }
  [[nodiscard]] std::int64_t most_keys() const;
  [[nodiscard]] KeysAndValues keys_and_values(std::int64_t key_head) const;
  [[nodiscard]] Queries queries(std::int64_t block) const;

 private:
  // Which keys of a batch count, and how many of them each query sees.
  struct Visibility {
    std::vector<std::int64_t> kept;  // their indices; unused when all count
    std::int64_t count = 0;
    std::vector<std::int32_t> seen;  // by query
  };

  [[nodiscard]] Visibility visibility(const at::Tensor& mask) const;
  [[nodiscard]] const Visibility& visible_to(std::int64_t key_head) const {
    return visible_[static_cast<std::size_t>(key_head / call_.k.size(1))];
  }

  const AttendCall& call_;
  std::int64_t queries_of_block_, blocks_of_head_, blocks_;
  std::vector<Visibility> visible_;  // by batch
};

}  // namespace bitreel::cpu
