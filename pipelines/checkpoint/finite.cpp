#include "pipelines/checkpoint/finite.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <atomic>
#include <cstdint>

namespace bitreel {
namespace {

// Infinity and NaN are the values whose exponent's bits are all set.
template <class Bits>
bool all_finite(const Bits* values, std::int64_t count, Bits exponent) {
  constexpr std::int64_t grain = std::int64_t{1} << 18;
  std::atomic<bool> found = false;
  at::parallel_for(0, count, grain, [&](std::int64_t begin, std::int64_t end) {
    constexpr std::int64_t block = std::int64_t{1} << 14;
    for (std::int64_t first = begin; first < end && !found.load(std::memory_order_relaxed); first += block) {
      const std::int64_t last = std::min(first + block, end);
      Bits any = 0;
#pragma omp simd reduction(| : any)
      for (std::int64_t i = first; i < last; ++i) {
        any = static_cast<Bits>(any | static_cast<Bits>((values[i] & exponent) == exponent ? 1 : 0));
      }
      if (any != 0) found.store(true, std::memory_order_relaxed);
    }
  });
  return !found.load();
}

template <class Bits>
bool all_finite_bits(const at::Tensor& tensor, Bits exponent) {
  return all_finite(static_cast<const Bits*>(tensor.const_data_ptr()), tensor.numel(), exponent);
}

}  // namespace

bool all_finite(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return all_finite_bits<std::uint32_t>(tensor, 0x7f800000U);
    case at::kBFloat16:
      return all_finite_bits<std::uint16_t>(tensor, 0x7f80U);
    case at::kHalf:
      return all_finite_bits<std::uint16_t>(tensor, 0x7c00U);
    case at::kDouble:
      return all_finite_bits<std::uint64_t>(tensor, 0x7ff0000000000000ULL);
    default:
      return !at::isFloatingType(tensor.scalar_type()) || at::isfinite(tensor.to(at::kFloat)).all().item<bool>();
  }
}

}  // namespace bitreel
