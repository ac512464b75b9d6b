// Tensors by name: what goes from phase to phase of a model and what is kept of it in safetensors files.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

namespace bitreel {

using NamedTensors = std::map<std::string, at::Tensor>;

}  // namespace bitreel
