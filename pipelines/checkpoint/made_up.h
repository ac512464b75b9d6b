// Weights that no file holds: random numbers in the shapes that a model asks for, for benchmarks of models whose files
// are not at hand.
//
//   const Weights weights = Weights::made_up("transformer", 7);
//   const Transformer transformer(weights, config, {.dtype = at::kFloat});
//
// The same seed, name, shape, dtype and kind of device give the same numbers; on a GPU they depend on its model. Values
// keep activations in range: matrices and convolutions N(0, 1 / inputs), scales around 1, biases small.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace bitreel {

at::Tensor made_up_tensor(const std::string& name, at::IntArrayRef shape, const at::TensorOptions& options,
                          std::uint64_t seed);

}  // namespace bitreel
