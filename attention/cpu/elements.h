// Rows of fp32, fp16 or bf16 in and out of fp32.
// Compiled once for each instruction set: what is here is static, or a template over the unit's own Lanes, so that no
// unit takes another's code (kernels.h).
#pragma once

#include <cstdint>

#include "attention/cpu/kernels.h"
#include "base/half.h"

namespace bitreel::cpu {

// Zeros from dim to D.
template <std::int64_t D, class T>
static inline void widen_row(const T* row, int dim, float* out) {
  if (dim == D) {
    for (int c = 0; c < D; ++c) out[c] = widened(row[c]);
    return;
  }
  for (int c = 0; c < dim; ++c) out[c] = widened(row[c]);
  for (int c = dim; c < D; ++c) out[c] = 0;
}

// A head's rows lie a token apart where all heads of a token are neighbours, as a projection leaves them: more than the
// processor looks ahead, and on other pages.
constexpr std::int64_t rows_ahead = 16;

static inline void prefetch_row(const Rows& rows, std::int64_t index, int dim) {
  const std::int64_t size = rows.element == Element::fp32 ? 4 : 2;
  const char* row = static_cast<const char*>(rows.data) + index * rows.stride * size;
  for (std::int64_t byte = 0; byte < dim * size; byte += 64) __builtin_prefetch(row + byte);
}

template <std::int64_t D>
static inline void load_row(const Rows& rows, std::int64_t index, int dim, float* out) {
  const std::int64_t offset = index * rows.stride;
  switch (rows.element) {
    case Element::fp32:
      return widen_row<D>(static_cast<const float*>(rows.data) + offset, dim, out);
    case Element::fp16:
      return widen_row<D>(static_cast<const Fp16*>(rows.data) + offset, dim, out);
    case Element::bf16:
      return widen_row<D>(static_cast<const Bf16*>(rows.data) + offset, dim, out);
  }
}

template <class T>
static inline void narrow_row(const float* row, int dim, T* out) {
  for (int c = 0; c < dim; ++c) narrow(row[c], out[c]);
}

static inline void store_row(const float* row, int dim, Element element, std::int64_t offset, void* out) {
  switch (element) {
    case Element::fp32:
      return narrow_row(row, dim, static_cast<float*>(out) + offset);
    case Element::fp16:
      return narrow_row(row, dim, static_cast<Fp16*>(out) + offset);
    case Element::bf16:
      return narrow_row(row, dim, static_cast<Bf16*>(out) + offset);
  }
}

}  // namespace bitreel::cpu
