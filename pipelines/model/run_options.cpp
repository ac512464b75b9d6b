#include "pipelines/model/run_options.h"

#include <algorithm>
#include <map>

#include "base/cpu_features.h"
#include "base/error.h"
#include "pipelines/layers/cuda/cuda_rows.h"

namespace bitreel {

std::string_view name_of(Elementwise path) {
  return path == Elementwise::fused ? "fused" : "composed";
}

std::string_view name_of(Offload offload) {
  switch (offload) {
    case Offload::none:
      return "none";
    case Offload::model:
      return "model";
    case Offload::layers:
      return "layers";
  }
  throw Error("unknown offload");
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

// On a CPU fp16 is slow everywhere, and bf16 without AVX-512: LibTorch has no fast product for it there.
at::ScalarType default_dtype(const Weights& weights, at::Device device) {
  const at::ScalarType stored = stored_dtype(weights);
  if (!device.is_cpu() || (stored != at::kHalf && stored != at::kBFloat16)) return stored;
  return x86_features().avx512 ? at::kBFloat16 : at::kFloat;
}

ConvolutionLayout default_vae_layout(at::Device device, Elementwise elementwise) {
  const bool fused = elementwise == Elementwise::fused && cuda::has_plugin(device);
  return fused ? ConvolutionLayout::channels_last : ConvolutionLayout::planar;
}

}  // namespace bitreel
