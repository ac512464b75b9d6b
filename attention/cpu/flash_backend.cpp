#include "attention/cpu/flash_backend.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "attention/cpu/call_parts.h"
#include "attention/cpu/features.h"
#include "attention/cpu/flash.h"

namespace bitreel {
namespace {

using namespace cpu;

std::string missing() {
  return x86_features().avx2 ? "" : "the processor has no AVX2 with FMA";
}

std::string refuses(const AttendCall& call) {
  if (call.recipe) return "quantizes nothing";
  if (std::string common = common_refusal(call); !common.empty()) return common;
  if (call.q.scalar_type() == at::kBFloat16 && x86_features().amx_bf16)
    return "LibTorch multiplies bfloat16 in this processor's tiles, which is faster";
  return {};
}

void run(const AttendCall& call) {
  run_flash(x86_features().avx512_vnni ? cpu_flash_avx512::kernels() : cpu_flash_avx2::kernels(), call);
}

// The least work worth a thread, in multiplications.
constexpr std::int64_t worth_a_thread = 1 << 18;

}  // namespace

void run_flash(const FlashKernels& kernels, const AttendCall& call) {
  if (call.q.numel() == 0) return;
  const std::vector<Visibility> visible = visibility_of(call);
  const std::int64_t most = std::ranges::max(visible, {}, &Visibility::count).count;
  const std::int64_t heads = call.q.size(1), queries = call.q.size(2), dim = call.q.size(3);
  const std::int64_t key_heads = call.k.size(1), shared_by = heads / key_heads;
  const std::int64_t all_key_heads = call.k.size(0) * key_heads;
  const std::int64_t key_blocks = (most + flash_keys - 1) / flash_keys;
  const std::int64_t query_blocks = (queries + flash_queries - 1) / flash_queries;

  // A few heads at a time, so that memory stays small.
  constexpr std::int64_t packed_floats = 1 << 20;
  const std::int64_t size = key_blocks * flash_keys * whole_panels(dim);
  const std::int64_t fit =
      std::max<std::int64_t>(packed_floats / std::max<std::int64_t>(1, size), at::get_num_threads());
  const std::int64_t together = std::clamp<std::int64_t>(fit, 1, all_key_heads);
  const at::Tensor memory = at::empty({together, 2, size}, at::kFloat);
  const auto visible_to = [&](std::int64_t key_head) -> const Visibility& {
    return visible[static_cast<std::size_t>(key_head / key_heads)];
  };
  const auto head_of = [&](std::int64_t slot, std::int64_t key_head) {
    float* const keys = memory.mutable_data_ptr<float>() + slot * 2 * size;
    return FlashHead{keys, keys + size, visible_to(key_head).count, static_cast<int>(dim)};
  };

  for (std::int64_t first = 0; first < all_key_heads; first += together) {
    const std::int64_t count = std::min(together, all_key_heads - first);
    const std::int64_t blocks_worth_a_thread = 1 + worth_a_thread / (flash_keys * dim * 16);
    at::parallel_for(0, count * key_blocks, blocks_worth_a_thread, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t slot = i / key_blocks, block = i % key_blocks, key_head = first + slot;
        const FlashHead head = head_of(slot, key_head);
        if (block * flash_keys >= head.count) continue;
        kernels.pack(keys_and_values_of(call, visible_to(key_head), key_head / key_heads, key_head % key_heads), block,
                     head);
      }
    });
    const std::int64_t grain = 1 + worth_a_thread / (flash_queries * std::max<std::int64_t>(1, most) * dim * 2);
    at::parallel_for(0, count * shared_by * query_blocks, grain, [&](std::int64_t begin, std::int64_t end) {
      const auto work = std::make_unique_for_overwrite<FlashWorkspace>();
      for (std::int64_t i = begin; i < end; ++i) {
        // Query heads are numbered like key heads, shared_by of them to each.
        const std::int64_t block = i % query_blocks, query_head = first * shared_by + i / query_blocks;
        const std::int64_t key_head = query_head / shared_by;
        kernels.attend(queries_of(call, visible_to(key_head), query_head / heads, query_head % heads,
                                  {.first = block * flash_queries, .most = flash_queries}),
                       head_of(key_head - first, key_head), *work);
      }
    });
  }
}

const Backend& flash_backend() {
  static constexpr Backend backend{.name = "cpu-flash",
                                   .arithmetic = Arithmetic::full,
                                   .role = Role::kernel,
                                   .summary = "fp32 in registers, with AVX-512 or AVX2",
                                   .missing = missing,
                                   .refuses = refuses,
                                   .run = run};
  return backend;
}

}  // namespace bitreel
