#include "pipelines/layers/sinusoid.h"

#include <ATen/ATen.h>

#include <cmath>

namespace bitreel {

at::Tensor timestep_sinusoid(const at::Tensor& timesteps, std::int64_t width) {
  constexpr double longest_period = 10000;
  const std::int64_t half = width / 2;
  const at::TensorOptions fp32 = timesteps.options().dtype(at::kFloat);
  // The peer's operations in its order, as the last bits of a thousand radians depend on them.
  const at::Tensor exponent = (-std::log(longest_period) * at::arange(0, half, fp32)) / static_cast<double>(half);
  const at::Tensor angles = timesteps.to(at::kFloat).unsqueeze(1) * at::exp(exponent).unsqueeze(0);
  const at::Tensor waves = at::cat({at::cos(angles), at::sin(angles)}, -1);
  return width % 2 == 0 ? waves : at::constant_pad_nd(waves, {0, 1});
}

}  // namespace bitreel
