#include "pipelines/layers/rows/rows.h"

#include "base/cpu_features.h"
#include "pipelines/layers/rows/rows_units.h"

namespace bitreel {

template <>
const RowKernels<float>& row_kernels<float>() {
#if defined(__x86_64__)
  if (x86_features().avx512) return rows_avx512::fp32_kernels();
  if (x86_features().avx2) return rows_avx2::fp32_kernels();
#endif
  return rows_baseline::fp32_kernels();
}

template <>
const RowKernels<Bf16>& row_kernels<Bf16>() {
#if defined(__x86_64__)
  if (x86_features().avx512) return rows_avx512::bf16_kernels();
  if (x86_features().avx2) return rows_avx2::bf16_kernels();
#endif
  return rows_baseline::bf16_kernels();
}

}  // namespace bitreel
