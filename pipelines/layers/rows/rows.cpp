#include "pipelines/layers/rows/rows.h"

#include "base/cpu_features.h"
#include "pipelines/layers/rows/rows_units.h"

namespace bitreel {

template <>
const RowKernels<float>& row_kernels<float>() {
  return x86_features().avx512 ? rows_avx512::fp32_kernels()
         : x86_features().avx2 ? rows_avx2::fp32_kernels()
                               : rows_baseline::fp32_kernels();
}

template <>
const RowKernels<Bf16>& row_kernels<Bf16>() {
  return x86_features().avx512 ? rows_avx512::bf16_kernels()
         : x86_features().avx2 ? rows_avx2::bf16_kernels()
                               : rows_baseline::bf16_kernels();
}

}  // namespace bitreel
