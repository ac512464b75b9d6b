// Hands a model's constructors their tensors by name, and checks at the end that none was left over.
//
//   Loader loader(checkpoint.weights("vae"), {.dtype = at::kFloat});
//   loader.ignore("encoder.");
//   const VaeDecoder decoder(loader.root() / "decoder", config, Elementwise::fused);  // names as in the file
//   loader.finish();                                          // Error naming every unused tensor
//
// Missing and mis-shaped tensors are errors where they are asked for (weights.h), as are those that are not finite.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "pipelines/checkpoint/host_weights.h"
#include "pipelines/checkpoint/upload.h"
#include "pipelines/checkpoint/weights.h"

namespace bitreel {

// How convolutions' weights lie in memory, and so what they convolve: channel by channel, or all channels of a position
// side by side. Which is faster is the device's; results differ by the order of sums.
enum class ConvolutionLayout { planar, channels_last };

std::string_view name_of(ConvolutionLayout layout);

// streamed: of models of many equal blocks; they lie in host memory and pass over the device (layers/block_ring.h).
enum class BlockPlace { resident, streamed };

struct LoadOptions {
  at::ScalarType dtype = at::kFloat;
  at::Device device = at::kCPU;
  ConvolutionLayout convolutions = ConvolutionLayout::planar;
  BlockPlace blocks = BlockPlace::resident;
  HostWeights* host = nullptr;  // while loading: keeps weights for the next time, and has them then
};

class Scope;

class Loader {
 public:
  Loader(Weights weights, LoadOptions options) : weights_(std::move(weights)), options_(options) {}
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  [[nodiscard]] Scope root();
  at::Tensor take(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype);
  // Marks tensors as known though not needed: everything whose name starts with `prefix`.
  void ignore(std::string_view prefix);
  void finish() const;

  [[nodiscard]] const LoadOptions& options() const { return options_; }
  [[nodiscard]] const Weights& weights() const { return weights_; }

 private:
  at::Tensor from_file(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype);
  // None when not all of it is finite.
  std::optional<at::Tensor> on_device(const at::Tensor& stored, at::ScalarType dtype);
  [[nodiscard]] at::Tensor laid_out(const at::Tensor& tensor) const;

  Weights weights_;
  LoadOptions options_;
  std::set<std::string> used_;
  std::optional<Upload> upload_;  // of a device that is no CPU
};

// A place in the tree of names: scope / "norm1" / "linear".
class Scope {
 public:
  Scope(Loader& loader, std::string prefix) : loader_(&loader), prefix_(std::move(prefix)) {}

  Scope operator/(std::string_view child) const;
  Scope operator/(std::int64_t child) const;
  // The tensor `name` below this scope in the loader's dtype, or in `dtype` when given.
  at::Tensor tensor(std::string_view name, at::IntArrayRef shape, std::optional<at::ScalarType> dtype = {}) const;
  [[nodiscard]] Loader& loader() const { return *loader_; }

 private:
  Loader* loader_;
  std::string prefix_;
};

}  // namespace bitreel
