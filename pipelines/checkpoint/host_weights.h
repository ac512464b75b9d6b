// A component's weights in host memory, for a model that leaves its device and comes back (RunOptions::offload).
//
//   HostWeights kept(device);
//   const at::Tensor weight = kept.on_device("proj_out.weight", at::kBFloat16, [&] { return read_from_file(); });
//
// The first time read_from_file() is asked, whose result is kept; then it is the copy that goes to the device.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "pipelines/checkpoint/host_copy.h"

namespace bitreel {

class HostWeights {
 public:
  explicit HostWeights(at::Device device) : device_(device) {}
  HostWeights(const HostWeights&) = delete;
  HostWeights& operator=(const HostWeights&) = delete;

  // load: gives the tensor in this dtype, contiguous, on the device.
  at::Tensor on_device(const std::string& name, at::ScalarType dtype, const std::function<at::Tensor()>& load);

 private:
  struct Kept {
    HostCopy copy;
    std::vector<std::int64_t> shape;
  };

  at::Device device_;
  std::map<std::pair<std::string, at::ScalarType>, Kept> kept_;
};

}  // namespace bitreel
