#include "attention/sdpa.h"

#include <ATen/ATen.h>
#include <cpuid.h>

namespace bitreel {
namespace {

bool has_bf16_tiles() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  constexpr unsigned extended_features = 7, amx_bf16 = 1u << 22;
  return __get_cpuid_count(extended_features, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx & amx_bf16) != 0;
}

bool widens_to_fp32(const at::Tensor& q) {
  static const bool has_tiles = has_bf16_tiles();
  return q.is_cpu() && c10::isReducedFloatingType(q.scalar_type()) && !has_tiles;
}

}  // namespace

at::Tensor attend_sdpa(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                       const at::Tensor& bias) {
  const bool widen = widens_to_fp32(q);
  const auto in = [&](const at::Tensor& x) { return widen ? x.to(at::kFloat) : x; };
  const auto mask = bias.defined() ? std::optional<at::Tensor>(in(bias)) : std::nullopt;
  return at::scaled_dot_product_attention(in(q), in(k), in(v), mask, /*dropout_p=*/0.0, /*is_causal=*/false, scale)
      .to(q.scalar_type());
}

}  // namespace bitreel
