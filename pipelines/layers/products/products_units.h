// What each instruction set provides of products.h.
#pragma once

#include "pipelines/layers/products/products.h"

namespace bitreel::products_avx2 {

const ProductKernels<float>& fp32_kernels();
const ProductKernels<Bf16>& bf16_kernels();

}  // namespace bitreel::products_avx2
