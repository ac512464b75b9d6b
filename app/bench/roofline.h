// What this device does at most, measured: the rates that a benchmark's times are held against.
//
//   const Roofline roofline = measure_roofline(at::kCPU, at::kFloat);
//   const double floor = roofline.seconds_at_least({.name = "products", .flop = 2e12, .bytes = 3e9});   // of one kind
#pragma once

#include <ATen/core/Tensor.h>

#include "pipelines/model/cost.h"

namespace bitreel {

struct Roofline {
  double flop_per_second = 0;   // LibTorch's product of two large square matrices of the dtype
  double bytes_per_second = 0;  // read and written by LibTorch's copy of a large tensor

  // Work whose products and transfers overlap entirely.
  [[nodiscard]] double seconds_at_least(const Work& work) const;
};

// Takes about a second on a CPU.
Roofline measure_roofline(at::Device device, at::ScalarType dtype);

}  // namespace bitreel
