// The bodies of rows.h: plain loops that the compiler turns into vectors of the unit's instruction set; reductions are
// marked because fp32 addition may not be reordered otherwise.
//
//   struct Unit {                             // in an anonymous namespace of the unit
//     static constexpr const char* name = "avx2";
//   };
//   const RowKernels<Bf16>& bf16_kernels() {
//     return RowKernelsOf<Unit, Bf16>::table;   // all that it offers
//   }
//
// A template over the unit's own type, so that no unit takes another's code (attention/cpu/kernels.h has it likewise).
#pragma once

#include <cstdint>

#include "base/half.h"
#include "pipelines/layers/rows/rows.h"

namespace bitreel {

template <class Unit, class T>
struct RowKernelsOf {
  struct Moments {
    float mean, inverse_deviation;
  };

  static Moments moments(const T* x, std::int64_t dim, float eps) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t i = 0; i < dim; ++i) sum += widened(x[i]);
    const float mean = sum / static_cast<float>(dim);
    float squares = 0;
#pragma omp simd reduction(+ : squares)
    for (std::int64_t i = 0; i < dim; ++i) {
      const float d = widened(x[i]) - mean;
      squares += d * d;
    }
    return {mean, 1.0f / __builtin_sqrtf(squares / static_cast<float>(dim) + eps)};
  }

  static void norm_modulate(const T* x, const NormModulate<T>& p, std::int64_t rows, T* y) {
    for (std::int64_t r = 0; r < rows; ++r, x += p.dim, y += p.dim) {
      const Moments m = moments(x, p.dim, p.eps);
#pragma omp simd
      for (std::int64_t i = 0; i < p.dim; ++i) {
        const float normed = (widened(x[i]) - m.mean) * m.inverse_deviation * widened(p.weight[i]) + widened(p.bias[i]);
        narrow(normed * (1.0f + widened(p.scale[i])) + widened(p.shift[i]), y[i]);
      }
    }
  }

  static void norm_rotate(const T* x, const NormRotate<T>& p, std::int64_t rows, T* y) {
    // One row in fp32, the same row with each pair turned by 90 degrees, (a, b) -> (-b, a), and each pair's angle
    // twice.
    alignas(64) float normed[longest_head];
    alignas(64) float turned[longest_head];
    alignas(64) float cos[longest_head];
    alignas(64) float sin[longest_head];
    for (std::int64_t r = 0; r < rows; ++r, x += p.x_stride, y += p.dim) {
      const Moments m = moments(x, p.dim, p.eps);
#pragma omp simd
      for (std::int64_t i = 0; i < p.dim; ++i) {
        normed[i] = (widened(x[i]) - m.mean) * m.inverse_deviation * widened(p.weight[i]) + widened(p.bias[i]);
      }
      if (p.cos == nullptr) {
#pragma omp simd
        for (std::int64_t i = 0; i < p.dim; ++i) narrow(normed[i], y[i]);
        continue;
      }
      const float* pair_cos = p.cos + r * p.dim / 2;
      const float* pair_sin = p.sin + r * p.dim / 2;
      for (std::int64_t i = 0; i < p.dim; i += 2) {
        turned[i] = -normed[i + 1];
        turned[i + 1] = normed[i];
        cos[i] = cos[i + 1] = pair_cos[i / 2];
        sin[i] = sin[i + 1] = pair_sin[i / 2];
      }
#pragma omp simd
      for (std::int64_t i = 0; i < p.dim; ++i) narrow(normed[i] * cos[i] + turned[i] * sin[i], y[i]);
    }
  }

  static void gated_add(const T* x, const T* update, const T* gate, std::int64_t dim, std::int64_t rows, T* y) {
    for (std::int64_t r = 0; r < rows; ++r, x += dim, update += dim, y += dim) {
#pragma omp simd
      for (std::int64_t i = 0; i < dim; ++i) narrow(widened(x[i]) + widened(gate[i]) * widened(update[i]), y[i]);
    }
  }

  // e^x for x in [-87, 87], relative error below 2e-7: 2^n by exponent bits, the fraction by its series.
  static float exp_of(float x) {
    const float t = x * 1.44269504f;
    const float n = __builtin_nearbyintf(t);
    const float f = (t - n) * 0.693147181f;
    constexpr float coefficients[] = {1.0f / 120.0f, 1.0f / 24.0f, 1.0f / 6.0f, 0.5f, 1.0f, 1.0f};
    float series = 1.0f / 720.0f;
    for (const float c : coefficients) series = series * f + c;
    return series * __builtin_bit_cast(float, (static_cast<std::int32_t>(n) + 127) << 23);
  }

  static void gelu_tanh(T* x, std::int64_t count) {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) {
      const float v = widened(x[i]);
      // 0.5 (1 + tanh(u)) = 1 / (1 + e^-2u)
      float power = -1.59576912f * (v + 0.044715f * v * v * v);
      power = power < 87.0f ? power : 87.0f;
      power = power > -87.0f ? power : -87.0f;
      narrow(v / (1.0f + exp_of(power)), x[i]);
    }
  }

  // erf(z) for z >= 0, within 1.5e-7 (Abramowitz and Stegun, 7.1.26).
  static float erf_of(float z) {
    const float t = 1.0f / (1.0f + 0.3275911f * z);
    const float power = -z * z;
    constexpr float coefficients[] = {-1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f};
    float series = 1.061405429f;
    for (const float c : coefficients) series = series * t + c;
    return 1.0f - series * t * exp_of(power > -87.0f ? power : -87.0f);
  }

  // In place: x (1 + erf(x / sqrt(2))) / 2. Not of the table: products take it in (products/products.h).
  static void gelu_erf(T* x, std::int64_t count) {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) {
      const float v = widened(x[i]), magnitude = __builtin_fabsf(v);
      narrow(0.5f * (v + magnitude * erf_of(0.707106781f * magnitude)), x[i]);
    }
  }

  static void quantize(const T* x, std::int64_t dim, std::int64_t rows, const RowBytes& to) {
    std::uint8_t* values = to.values;
    for (std::int64_t r = 0; r < rows; ++r, x += dim, values += dim) {
      std::int32_t largest = __builtin_bit_cast(std::int32_t, least_magnitude);
#pragma omp simd reduction(max : largest)
      for (std::int64_t i = 0; i < dim; ++i) {
        // Magnitudes are ordered as their bits are, and NaN is above them all.
        const std::int32_t magnitude = __builtin_bit_cast(std::int32_t, __builtin_fabsf(widened(x[i])));
        largest = magnitude > largest ? magnitude : largest;
      }
      const float magnitude = __builtin_bit_cast(float, largest);
      const float factor = to.largest / magnitude;
#pragma omp simd
      for (std::int64_t i = 0; i < dim; ++i) {
        const float nearest = __builtin_nearbyintf(widened(x[i]) * factor);
        values[i] = static_cast<std::uint8_t>(static_cast<std::int32_t>(nearest) + 128);
      }
      to.scales[r] = magnitude / to.largest;
    }
  }

  static void scale(const float* x, const float* scales, const T* bias, std::int64_t dim, std::int64_t rows, T* y) {
    for (std::int64_t r = 0; r < rows; ++r, x += dim, y += dim) {
      const float factor = scales[r];
      if (bias == nullptr) {
#pragma omp simd
        for (std::int64_t i = 0; i < dim; ++i) narrow(x[i] * factor, y[i]);
        continue;
      }
#pragma omp simd
      for (std::int64_t i = 0; i < dim; ++i) narrow(x[i] * factor + widened(bias[i]), y[i]);
    }
  }

  static constexpr RowKernels<T> table = {Unit::name, norm_modulate, norm_rotate, gated_add,
                                          gelu_tanh,  quantize,      scale};
};

}  // namespace bitreel
