#include <immintrin.h>

#include <type_traits>

#include "pipelines/layers/products/products_units.h"
#include "pipelines/layers/rows/rows_body.h"

namespace bitreel::products_avx2 {
namespace {

struct Unit {};  // of whose rows GELU is taken

constexpr std::int64_t vector = 8, vectors = panel_outputs / vector;
constexpr std::int64_t rows_at_once = 4;
constexpr std::int64_t depth = 256;  // inputs of a panel that stay in the first cache while the rows pass

using Sums = float[most_product_rows][panel_outputs];

// Some inputs of a panel and of the rows that are multiplied by them.
struct Stretch {
  const float* rows[rows_at_once];
  const float* panel;
  std::int64_t count;
};

// What the sums of a stretch start from: `stride` apart, 0 for the same in each row.
struct Start {
  const float* sums;
  std::int64_t stride;
};

// sums = start + rows panel
inline void add_products(const Stretch& stretch, const Start& start, float (*sums)[panel_outputs]) {
  __m256 s[rows_at_once][vectors];
#pragma GCC unroll 4
  for (std::int64_t r = 0; r < rows_at_once; ++r) {
#pragma GCC unroll 4
    for (std::int64_t v = 0; v < vectors; ++v) {
      s[r][v] = _mm256_load_ps(start.sums + r * start.stride + v * vector);
    }
  }
#pragma GCC unroll 4  // less counting: it competes with the products for a core's front end
  for (std::int64_t i = 0; i < stretch.count; ++i) {
    __m256 outputs[vectors];
#pragma GCC unroll 4
    for (std::int64_t v = 0; v < vectors; ++v) {
      outputs[v] = _mm256_loadu_ps(stretch.panel + i * panel_outputs + v * vector);
    }
#pragma GCC unroll 4
    for (std::int64_t r = 0; r < rows_at_once; ++r) {
      const __m256 x = _mm256_broadcast_ss(stretch.rows[r] + i);
#pragma GCC unroll 4
      for (std::int64_t v = 0; v < vectors; ++v) s[r][v] = _mm256_fmadd_ps(x, outputs[v], s[r][v]);
    }
  }
#pragma GCC unroll 4
  for (std::int64_t r = 0; r < rows_at_once; ++r) {
#pragma GCC unroll 4
    for (std::int64_t v = 0; v < vectors; ++v) _mm256_store_ps(sums[r] + v * vector, s[r][v]);
  }
}

// x in fp32: itself, or widened into `room`.
inline const float* in_fp32(const float* x, std::int64_t, float*) {
  return x;
}
inline const float* in_fp32(const Bf16* x, std::int64_t count, float* room) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) room[i] = widened(x[i]);
  return room;
}

// Of a panel's outputs `kept` go to y: the last panel may have fewer than it has room for.
template <class T>
inline void finish(Sums& sums, std::int64_t rows, std::int64_t kept, Gelu gelu, std::int64_t stride, T* y) {
  using Rows = RowKernelsOf<Unit, float>;
  for (std::int64_t r = 0; r < rows; ++r, y += stride) {
    float* const row = sums[r];
    if (gelu == Gelu::erf) Rows::gelu_erf(row, panel_outputs);
    if (gelu == Gelu::tanh) Rows::gelu_tanh(row, panel_outputs);
#pragma omp simd
    for (std::int64_t i = 0; i < kept; ++i) narrow(row[i], y[i]);
  }
}

template <class T>
void multiply(const T* x, std::int64_t rows, const ProductWeight<T>& weight, Gelu gelu, T* y) {
  constexpr bool widens = !std::is_same_v<T, float>;
  alignas(64) Sums sums;
  alignas(64) float bias[panel_outputs] = {};
  alignas(64) float panel_room[widens ? depth * panel_outputs : 1];
  alignas(64) float row_room[rows_at_once][widens ? depth : 1];
  const std::int64_t in = weight.in;
  for (std::int64_t output = 0; output < weight.out; output += panel_outputs) {
    const std::int64_t kept = weight.out - output < panel_outputs ? weight.out - output : panel_outputs;
    for (std::int64_t i = 0; weight.bias != nullptr && i < kept; ++i) bias[i] = widened(weight.bias[output + i]);
    for (std::int64_t begin = 0; begin < in; begin += depth) {
      const std::int64_t count = in - begin < depth ? in - begin : depth;
      const T* const part = weight.panels + output * in + begin * panel_outputs;
      const float* const panel = in_fp32(part, count * panel_outputs, panel_room);
      for (std::int64_t r = 0; r < rows; r += rows_at_once) {
        Stretch stretch{.rows = {}, .panel = panel, .count = count};
        for (std::int64_t i = 0; i < rows_at_once; ++i) {
          const std::int64_t row = r + i < rows ? r + i : rows - 1;  // the last stands in for those that are not there
          stretch.rows[i] = in_fp32(x + row * in + begin, count, row_room[i]);
        }
        add_products(stretch, begin == 0 ? Start{bias, 0} : Start{sums[r], panel_outputs}, sums + r);
      }
    }
    if (kept == panel_outputs) {
      finish(sums, rows, panel_outputs, gelu, weight.out, y + output);  // a constant count
    } else {
      finish(sums, rows, kept, gelu, weight.out, y + output);
    }
  }
}

template <class T>
constexpr ProductKernels<T> table = {multiply<T>};

}  // namespace

const ProductKernels<float>& fp32_kernels() {
  return table<float>;
}

const ProductKernels<Bf16>& bf16_kernels() {
  return table<Bf16>;
}

}  // namespace bitreel::products_avx2
