#include "attention/cpu/flash_backend.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "attention/cpu/call_parts.h"
#include "attention/cpu/flash.h"
#include "attention/cpu/share_out.h"
#include "base/cpu_features.h"

namespace bitreel {
namespace {

using namespace cpu;

// Null where there are none.
const FlashKernels* kernels_here() {
#if defined(__x86_64__)
  if (x86_features().avx512_vnni) return &cpu_flash_avx512::kernels();
  if (x86_features().avx2) return &cpu_flash_avx2::kernels();
#endif
  return nullptr;
}

std::string missing(c10::DeviceType device) {
  if (device != c10::kCPU) return std::string(only_on_the_cpu);
  return kernels_here() != nullptr ? "" : "the processor has no AVX2 with FMA";
}

std::string refuses(const AttendCall& call) {
  if (call.recipe) return "quantizes nothing";
  if (std::string common = common_refusal(call); !common.empty()) return common;
  return {};
}

// LibTorch multiplies bfloat16 in the tiles of a processor that has them, which is faster.
int preference(const AttendCall& call) {
  return call.q.scalar_type() == at::kBFloat16 && x86_features().amx_bf16 ? -1 : 0;
}

void run(const AttendCall& call) {
  run_flash(*kernels_here(), call);
}

// The least work worth a thread, in multiplications.
constexpr std::int64_t worth_a_thread = 1 << 18;

}  // namespace

void run_flash(const FlashKernels& kernels, const AttendCall& call) {
  if (call.q.numel() == 0) return;
  const CallParts parts(call, flash_queries);
  const std::int64_t most = parts.most_keys(), dim = call.q.size(3);
  const std::int64_t key_blocks = (most + flash_keys - 1) / flash_keys;

  constexpr std::int64_t packed_floats = 1 << 20;
  const std::int64_t size = key_blocks * flash_keys * whole_panels(dim);
  const std::int64_t together = parts.together(packed_floats / std::max<std::int64_t>(1, size));
  const at::Tensor memory = at::empty({together, 2, size}, at::kFloat);
  const auto packed = [&](std::int64_t key_head) {
    float* const keys = memory.mutable_data_ptr<float>() + key_head % together * 2 * size;
    return FlashHead{keys, keys + size, parts.keys(key_head), static_cast<int>(dim)};
  };

  const std::int64_t pack_grain = 1 + worth_a_thread / (flash_keys * dim * 16);
  const std::int64_t attend_grain = 1 + worth_a_thread / (flash_queries * std::max<std::int64_t>(1, most) * dim * 2);
  for (std::int64_t first = 0; first < parts.key_heads(); first += together) {
    const std::int64_t last = std::min(first + together, parts.key_heads());
    at::parallel_for(first * key_blocks, last * key_blocks, pack_grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t key_head = i / key_blocks, block = i % key_blocks;
        const FlashHead head = packed(key_head);
        if (block * flash_keys < head.count) kernels.pack(parts.keys_and_values(key_head), block, head);
      }
    });
    share_out(first * parts.blocks(), last * parts.blocks(), attend_grain, [&](const auto& next) {
      const auto work = std::make_unique_for_overwrite<FlashWorkspace>();
      while (const std::optional<std::int64_t> block = next()) {
        kernels.attend(parts.queries(*block), packed(*block / parts.blocks()), *work);
      }
    });
  }
}

std::span<const Backend> flash_backends() {
  static constexpr Backend backend{.name = "cpu-flash",
                                   .arithmetic = Arithmetic::full,
                                   .role = Role::kernel,
                                   .summary = "fp32 in registers, with AVX-512 or AVX2",
                                   .missing = missing,
                                   .refuses = refuses,
                                   .run = run,
                                   .preference = preference};
  return {&backend, 1};
}

}  // namespace bitreel
