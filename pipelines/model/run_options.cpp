#include "pipelines/model/run_options.h"

#include <algorithm>
#include <map>

namespace bitreel {

std::string_view name_of(Elementwise path) {
  return path == Elementwise::fused ? "fused" : "composed";
}

at::ScalarType stored_dtype(const Weights& weights) {
  std::map<at::ScalarType, std::size_t> bytes;
  for (const std::string& name : weights.names()) {
    const TensorInfo& info = weights.info(name);
    bytes[info.dtype] += info.end - info.begin;
  }
  const auto most =
      std::max_element(bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == bytes.end() ? at::kFloat : most->first;
}

// bf16 has hardware support on CPUs, and the wider range.
at::ScalarType default_dtype(const Weights& weights, at::Device device) {
  const at::ScalarType stored = stored_dtype(weights);
  return stored == at::kHalf && device.is_cpu() ? at::kBFloat16 : stored;
}

}  // namespace bitreel
