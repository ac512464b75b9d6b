#include "pipelines/layers/rows/rows.h"

namespace bitreel {

#define BITREEL_DECLARE_ROWS(isa) \
  namespace isa {                 \
  template <class T>              \
  const RowKernels<T>& kernels(); \
  }
BITREEL_DECLARE_ROWS(rows_baseline)
BITREEL_DECLARE_ROWS(rows_avx2)
BITREEL_DECLARE_ROWS(rows_avx512)
#undef BITREEL_DECLARE_ROWS

template <class T>
const RowKernels<T>& row_kernels() {
  static const RowKernels<T>& chosen =
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")
          ? rows_avx512::kernels<T>()
      : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? rows_avx2::kernels<T>()
                                                                        : rows_baseline::kernels<T>();
  return chosen;
}
template const RowKernels<float>& row_kernels<float>();
template const RowKernels<Bf16>& row_kernels<Bf16>();

}  // namespace bitreel
