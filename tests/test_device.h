// Where tests that can run on a GPU run: BITREEL_TEST_DEVICE=cuda says on one, through LibTorch's CUDA library loaded
// at run time.
//
//   const at::Tensor x = at::randn({2, 3}).to(test_device());
//
// LibTorch looks for that library once, at the first convolution: a binary whose tests ask for the device keeps one
// environment that does so before any of them (pipeline_test.cpp).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdlib>
#include <string_view>

#include "pipelines/model/device.h"

namespace bitreel {

inline at::Device test_device() {
  const char* name = std::getenv("BITREEL_TEST_DEVICE");
  return resolve_device(name != nullptr && std::string_view(name) == "cuda" ? DeviceChoice::cuda : DeviceChoice::cpu);
}

}  // namespace bitreel
