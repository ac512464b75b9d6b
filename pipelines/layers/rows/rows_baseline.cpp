#include "pipelines/layers/rows/rows_body.h"
#include "pipelines/layers/rows/rows_units.h"

namespace bitreel::rows_baseline {
namespace {

struct Unit {
  static constexpr const char* name = "baseline";
};

}  // namespace

const RowKernels<float>& fp32_kernels() {
  return RowKernelsOf<Unit, float>::table;
}

const RowKernels<Bf16>& bf16_kernels() {
  return RowKernelsOf<Unit, Bf16>::table;
}

}  // namespace bitreel::rows_baseline
