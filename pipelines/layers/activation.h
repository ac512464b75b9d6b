// The activations between two linear layers, by the names that config files give them.
//
//   const Activation act = read_activation(fields, "hidden_act", "quick_gelu");
//   at::Tensor y = activate(x, act);
//
// The tanh form of GELU and its quick form are spelled out in single operations as transformers does, so that their
// roundings in half precision are the peer's.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "base/json_fields.h"

namespace bitreel {

enum class Activation { gelu, quick_gelu, gelu_tanh, relu, silu, tanh };

// gelu, quick_gelu, gelu_new, relu, silu (also swish), tanh. Error for any other.
Activation read_activation(const JsonFields& fields, const std::string& key, const std::string& fallback);
at::Tensor activate(const at::Tensor& x, Activation activation);

}  // namespace bitreel
