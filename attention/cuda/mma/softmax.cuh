// From a tile's logits to its weights, and their product with V: the softmax of a warp's 16 queries as it goes on.
#pragma once

#include "attention/cuda/mma/tiles.cuh"

namespace bitreel::cuda::mma {

// P of one tile in the form of the A operand, and what it adds to its rows' sums.
template <Product product, int Keys>
struct Weights {
  static constexpr int value_bytes = product == Product::u8 || product == Product::e4m3 ? 1 : 2;
  static constexpr int steps = Keys * value_bytes / 32;
  unsigned a[steps][4];
};

template <Product product>
struct Accumulator {  // of one tile of eight channels
  float c[4];
  __device__ float value(int i) const { return c[i]; }
  __device__ void clear() { c[0] = c[1] = c[2] = c[3] = 0; }
};
template <>
struct Accumulator<Product::u8> {
  int c[4];
  __device__ float value(int i) const { return static_cast<float>(c[i]); }
  __device__ void clear() { c[0] = c[1] = c[2] = c[3] = 0; }
};
template <>
struct Accumulator<Product::fp16_sum> {
  unsigned c[2];
  __device__ float value(int i) const {
    const __half2 both = *reinterpret_cast<const __half2*>(&c[i / 2]);
    return i % 2 == 0 ? __low2float(both) : __high2float(both);
  }
  __device__ void clear() { c[0] = c[1] = 0; }
};

template <Product product>
__device__ void multiply(Accumulator<product>& sum, const unsigned* a, unsigned b0, unsigned b1) {
  if constexpr (product == Product::u8) {
    mma_u8(sum.c, a, b0, b1);
  } else if constexpr (product == Product::e4m3) {
    mma_e4m3(sum.c, a, b0, b1);
  } else if constexpr (product == Product::fp16) {
    mma_fp16(sum.c, a, b0, b1);
  } else {
    mma_fp16_sum(sum.c, a, b0, b1);
  }
}

// The softmax so far, of a thread's two rows.
template <int Dim, Product product>
struct SoftmaxRows {
  static constexpr bool sums_blocks = product == Product::fp16_sum;
  float max[2], against[2], beta[2];
  float sum[2];  // this thread's part of it
  float out[Dim / 8][4];
  Accumulator<product> block[sums_blocks ? Dim / 8 : 1];

  __device__ void clear() {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      max[r] = -INFINITY;
      sum[r] = 0;
    }
#pragma unroll
    for (int n = 0; n < Dim / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) out[n][i] = 0;
    }
  }

  // block_max: this thread's part of it.
  __device__ void begin_block(const float (&block_max)[2], bool against_block) {
    float alpha[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float of_block = fmaxf(block_max[r], __shfl_xor_sync(~0u, block_max[r], 1));
      of_block = fmaxf(of_block, __shfl_xor_sync(~0u, of_block, 2));
      const float now = fmaxf(max[r], of_block), reference = against_block ? of_block : now;
      alpha[r] = max[r] == -INFINITY ? 0 : power_of_two(max[r] - now);
      beta[r] = reference == -INFINITY ? 0 : power_of_two(reference - now);
      against[r] = reference == -INFINITY ? 0 : reference;
      max[r] = now;
      sum[r] *= alpha[r];
    }
    if (__any_sync(~0u, alpha[0] != 1 || alpha[1] != 1)) {  // seldom after the first blocks
#pragma unroll
      for (int n = 0; n < Dim / 8; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) out[n][i] *= alpha[i / 2];
      }
    }
    if constexpr (sums_blocks) {
#pragma unroll
      for (int n = 0; n < Dim / 8; ++n) block[n].clear();
    }
  }

  __device__ void add(int n, const Accumulator<product>& part) {
#pragma unroll
    for (int i = 0; i < 4; ++i) out[n][i] = fmaf(part.value(i), beta[i / 2], out[n][i]);
  }
};

// Logits of one tile in log2 units, [key / 8][C's four], to weights; sum: of the thread's part of them.
template <Product product, int Keys>
__device__ void weigh(const MmaCall& call, float (&logits)[Keys / 8][4], const float (&against)[2], float (&sum)[2],
                      Weights<product, Keys>& weights) {
  sum[0] = sum[1] = 0;
  if constexpr (product == Product::u8) {
    constexpr float whole = 12582912.0f;
#pragma unroll
    for (int n = 0; n < Keys / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        float log2_weight = logits[n][i] - against[i / 2];
        if (call.table != 0) log2_weight = (fminf(log2_weight * -7.0f, 63.0f) + whole - whole) * (-1.0f / 7.0f);
        logits[n][i] = power_of_two(log2_weight) * call.one;
      }
    }
    unsigned sums[2] = {};
#pragma unroll
    for (int j = 0; j < Keys / 16; ++j) {
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const unsigned word = pack_bytes(logits[2 * j][2 * r], logits[2 * j][2 * r + 1], logits[2 * j + 1][2 * r],
                                         logits[2 * j + 1][2 * r + 1]);
        weights.a[j / 2][j % 2 * 2 + r] = word;
        sums[r] = __dp4a(word, 0x01010101u, sums[r]);
      }
    }
    sum[0] = static_cast<float>(sums[0]);
    sum[1] = static_cast<float>(sums[1]);
    return;
  }
  // 448 is a part of the exponent.
  const float shift[2] = {against[0] - call.log2_of_one, against[1] - call.log2_of_one};
#pragma unroll
  for (int n = 0; n < Keys / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) logits[n][i] = power_of_two(logits[n][i] - shift[i / 2]);
  }
  if (product == Product::fp16 && call.rounds_to_e4m3 != 0 && call.rounded_sum == 0) {
#pragma unroll
    for (int n = 0; n < Keys / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        sum[i / 2] += logits[n][i];
        logits[n][i] = round_to_e4m3(logits[n][i]);
      }
    }
  } else {
    if (product == Product::fp16 && call.rounds_to_e4m3 != 0) {
#pragma unroll
      for (int n = 0; n < Keys / 8; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) logits[n][i] = round_to_e4m3(logits[n][i]);
      }
    }
    if (product != Product::e4m3 || call.rounded_sum == 0) {
#pragma unroll
      for (int n = 0; n < Keys / 8; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) sum[i / 2] += logits[n][i];
      }
    }
  }
#pragma unroll
  for (int j = 0; j < Keys / 16; ++j) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float a = logits[2 * j][2 * r], b = logits[2 * j][2 * r + 1], c = logits[2 * j + 1][2 * r],
                  d = logits[2 * j + 1][2 * r + 1];
      if constexpr (product == Product::e4m3) {
        weights.a[j / 2][j % 2 * 2 + r] = pack_e4m3(a, b, c, d);
      } else {
        weights.a[j][r] = pack_halves(a, b);
        weights.a[j][2 + r] = pack_halves(c, d);
      }
    }
  }
}

// Adds P V of one tile, and with Product::e4m3 the sum of rounded weights.
template <int Dim, Product product, int Keys>
__device__ void add_product(const MmaCall& call, const Weights<product, Keys>& weights, const char* values,
                            float (&sum)[2], bool last_of_block, SoftmaxRows<Dim, product>& rows) {
  constexpr int steps = Weights<product, Keys>::steps, row_bytes = Keys * Weights<product, Keys>::value_bytes;
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int n = 0; n < Dim / 8; ++n) {
    Accumulator<product> part;
    part.clear();
    Accumulator<product>& to = rows.sums_blocks ? rows.block[n] : part;
#pragma unroll
    for (int step = 0; step < steps; step += 2) {
      unsigned b[4];
      load_tiles(b, values + swizzled<row_bytes>(n * 8 + lane % 8, step * 2 + lane / 8));
      multiply<product>(to, weights.a[step], b[0], b[1]);
      multiply<product>(to, weights.a[step + 1], b[2], b[3]);
    }
    if (!rows.sums_blocks || last_of_block) rows.add(n, to);
  }
  if constexpr (product == Product::e4m3) {
    if (call.rounded_sum != 0) {
      Accumulator<product> part;  // of a row of ones, where V would be
      part.clear();
      constexpr unsigned ones = 0x38383838u;
#pragma unroll
      for (int step = 0; step < steps; ++step) multiply<product>(part, weights.a[step], ones, ones);
      sum[0] = lane % 4 == 0 ? part.c[0] : 0;
      sum[1] = lane % 4 == 0 ? part.c[2] : 0;
    }
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) rows.sum[r] = fmaf(sum[r], rows.beta[r], rows.sum[r]);
}

}  // namespace bitreel::cuda::mma
