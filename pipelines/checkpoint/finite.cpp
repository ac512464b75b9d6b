#include "pipelines/checkpoint/finite.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cstddef>

namespace bitreel {
namespace {

// Infinity and NaN are the values whose exponent's bits are all set.
template <class Bits>
bool all_finite(const void* numbers, std::int64_t count, Bits exponent) {
  const auto* values = static_cast<const Bits*>(numbers);
  constexpr std::int64_t block = std::int64_t{1} << 14;
  for (std::int64_t first = 0; first < count; first += block) {
    const std::int64_t last = std::min(first + block, count);
    Bits any = 0;
#pragma omp simd reduction(| : any)
    for (std::int64_t i = first; i < last; ++i) {
      any = static_cast<Bits>(any | static_cast<Bits>((values[i] & exponent) == exponent ? 1 : 0));
    }
    if (any != 0) return false;
  }
  return true;
}

}  // namespace

bool all_finite(const void* numbers, std::int64_t count, at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return all_finite<std::uint32_t>(numbers, count, 0x7f800000U);
    case at::kBFloat16:
      return all_finite<std::uint16_t>(numbers, count, 0x7f80U);
    case at::kHalf:
      return all_finite<std::uint16_t>(numbers, count, 0x7c00U);
    case at::kDouble:
      return all_finite<std::uint64_t>(numbers, count, 0x7ff0000000000000ULL);
    default: {
      if (!at::isFloatingType(dtype)) return true;
      const at::Tensor there = at::from_blob(const_cast<void*>(numbers), {count}, at::TensorOptions(dtype));
      return at::isfinite(there.to(at::kFloat)).all().item<bool>();
    }
  }
}

bool all_finite(const at::Tensor& tensor) {
  constexpr std::int64_t grain = std::int64_t{1} << 18;
  const auto* numbers = static_cast<const std::byte*>(tensor.const_data_ptr());
  const auto size = static_cast<std::int64_t>(tensor.element_size());
  std::atomic<bool> finite = true;
  at::parallel_for(0, tensor.numel(), grain, [&](std::int64_t begin, std::int64_t end) {
    if (!all_finite(numbers + begin * size, end - begin, tensor.scalar_type())) finite = false;
  });
  return finite;
}

}  // namespace bitreel
