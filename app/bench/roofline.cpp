#include "app/bench/roofline.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "app/gpu_clock.h"
#include "base/statistics.h"
#include "base/wall_clock.h"

namespace bitreel {
namespace {

double seconds_of(at::Device device, const std::function<void()>& work) {
  constexpr int runs = 5;
  std::vector<double> seconds;
  seconds.reserve(runs);
  work();
  for (int run = 0; run < runs; ++run) {
    if (device.is_cuda()) {
      seconds.push_back(GpuClock(device).time(work).seconds);
      continue;
    }
    const WallClock::time_point begun = WallClock::now();
    work();
    seconds.push_back(seconds_since(begun));
  }
  return median(seconds);
}

}  // namespace

double Roofline::seconds_at_least(const Work& work) const {
  return std::max(work.flop / flop_per_second, work.bytes / bytes_per_second);
}

Roofline measure_roofline(at::Device device, at::ScalarType dtype) {
  const std::int64_t side = device.is_cuda() ? 8192 : 1024;
  const std::int64_t copied = std::int64_t{1} << (device.is_cuda() ? 30 : 26);
  const at::TensorOptions there = at::TensorOptions(dtype).device(device);
  const at::Tensor a = at::randn({side, side}, there), b = at::randn({side, side}, there);
  at::Tensor product = at::empty({side, side}, there);
  const double multiplied = seconds_of(device, [&] { at::mm_out(product, a, b); });
  const at::Tensor from = at::zeros({copied}, there.dtype(at::kByte));
  at::Tensor to = at::empty_like(from);
  const double moved = seconds_of(device, [&] { to.copy_(from); });
  const auto n = static_cast<double>(side);
  return {.flop_per_second = 2 * n * n * n / multiplied, .bytes_per_second = 2 * static_cast<double>(copied) / moved};
}

}  // namespace bitreel
