#include "pipelines/checkpoint/host_weights.h"

#include <ATen/ATen.h>

namespace bitreel {

at::Tensor HostWeights::on_device(const std::string& name, at::ScalarType dtype,
                                  const std::function<at::Tensor()>& load) {
  const auto found = kept_.find({name, dtype});
  if (found != kept_.end()) {
    at::Tensor weight = at::empty(found->second.shape, at::TensorOptions(dtype).device(device_));
    found->second.copy.fetch_into(weight);
    return weight;
  }
  at::Tensor weight = load();
  kept_.emplace(std::pair(name, dtype), Kept{.copy = {weight, device_}, .shape = weight.sizes().vec()});
  return weight;
}

}  // namespace bitreel
