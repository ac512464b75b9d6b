#include "pipelines/layers/activation.h"

#include <ATen/ATen.h>

#include <array>
#include <cmath>

#include "base/error.h"

namespace bitreel {

Activation read_activation(const JsonFields& fields, const std::string& key, const std::string& fallback) {
  constexpr std::array known = {Activation::gelu, Activation::quick_gelu, Activation::gelu_tanh, Activation::relu,
                                Activation::silu, Activation::silu,       Activation::tanh};
  return known.at(fields.choice(key, fallback, {"gelu", "quick_gelu", "gelu_new", "relu", "silu", "swish", "tanh"}));
}

at::Tensor activate(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::gelu:
      return at::gelu(x);
    case Activation::quick_gelu:
      return x * at::sigmoid(1.702 * x);
    case Activation::gelu_tanh: {
      const at::Tensor inner = std::sqrt(2.0 / M_PI) * (x + 0.044715 * at::pow(x, 3.0));
      return 0.5 * x * (1.0 + at::tanh(inner));
    }
    case Activation::relu:
      return at::relu(x);
    case Activation::silu:
      return at::silu(x);
    case Activation::tanh:
      return at::tanh(x);
  }
  throw Error("unknown activation");
}

}  // namespace bitreel
