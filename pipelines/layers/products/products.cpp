#include "pipelines/layers/products/products.h"

#include "base/cpu_features.h"
#include "pipelines/layers/products/products_units.h"

namespace bitreel {
namespace {

bool beats_libtorch() {
  return x86_features().avx2 && !x86_features().avx512;
}

}  // namespace

template <>
const ProductKernels<float>* product_kernels<float>() {
#if defined(__x86_64__)
  if (beats_libtorch()) return &products_avx2::fp32_kernels();
#endif
  return nullptr;
}

template <>
const ProductKernels<Bf16>* product_kernels<Bf16>() {
#if defined(__x86_64__)
  if (beats_libtorch()) return &products_avx2::bf16_kernels();
#endif
  return nullptr;
}

}  // namespace bitreel
