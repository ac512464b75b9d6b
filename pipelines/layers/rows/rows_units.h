// What each instruction set provides of rows.h.
#pragma once

#include "pipelines/layers/rows/rows.h"

namespace bitreel {

namespace rows_baseline {
const RowKernels<float>& fp32_kernels();
const RowKernels<Bf16>& bf16_kernels();
}  // namespace rows_baseline
namespace rows_avx2 {
const RowKernels<float>& fp32_kernels();
const RowKernels<Bf16>& bf16_kernels();
}  // namespace rows_avx2
namespace rows_avx512 {
const RowKernels<float>& fp32_kernels();
const RowKernels<Bf16>& bf16_kernels();
}  // namespace rows_avx512

}  // namespace bitreel
