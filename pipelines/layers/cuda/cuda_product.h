// Products with a linear layer's weight on a GPU by our own calls of cuBLASLt (product_plugin.h), with an algorithm
// that is faster than the one that LibTorch's call of it takes: when they can be, and to which tensor.
//
//   if (cuda::takes_product(x, weight, bias)) y = cuda::product(x, weight, bias, cuda::AfterProduct::gelu_tanh);
//
// x [..., in], weight [out, in], bias [out] in bf16 or fp16, and y [..., out]. The bits are those of at::linear, and of
// at::_addmm_activation: no algorithm splits the sum.
#pragma once

#include <ATen/core/Tensor.h>

#include "pipelines/layers/cuda/product_plugin.h"

namespace bitreel::cuda {

// Whether the plugin was built with cuBLASLt.
bool has_products(at::Device device);
// And this one is faster so.
bool takes_product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

at::Tensor product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, AfterProduct after);

}  // namespace bitreel::cuda
