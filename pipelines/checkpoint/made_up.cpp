#include "pipelines/checkpoint/made_up.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/util/accumulate.h>

#include <cmath>
#include <optional>

namespace bitreel {
namespace {

// FNV-1a, which is the same everywhere.
std::uint64_t hash_of(const std::string& name) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace

at::Tensor made_up_tensor(const std::string& name, at::IntArrayRef shape, const at::TensorOptions& options,
                          std::uint64_t seed) {
  const std::uint64_t own_seed = seed ^ hash_of(name);
  std::optional<at::Generator> generator;
  if (options.device().is_cpu())
    generator = at::detail::createCPUGenerator(own_seed);
  else
    at::manual_seed(own_seed);  // of every device's own generator: this side knows no CUDA
  at::Tensor tensor = at::empty(shape, options);
  constexpr double small = 0.02, around_one = 0.1;
  if (shape.size() < 2) {
    const bool scale = name.ends_with("weight");
    return tensor.normal_(scale ? 1.0 : 0.0, scale ? around_one : small, generator);
  }
  const auto inputs = static_cast<double>(c10::multiply_integers(shape.slice(1)));
  return tensor.normal_(0.0, 1 / std::sqrt(inputs), generator);
}

}  // namespace bitreel
