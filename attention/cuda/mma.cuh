// Attention on packed integers with mma.sync: every recipe, mask and shape, on every GPU since sm_80.
//
// A CTA of four warps attends with 64 queries, 16 a warp, to tiles of 64 or 128 keys that cp.async brings ahead of
// their use. A recipe's block of keys is one or more tiles. Where it is more, its tiles come twice: for the block's
// maximum, then for the weights, because the scores of all would not fit in registers. S's accumulator becomes the A
// operand of P V in the registers where it is (packed.h says why). Each tile's P V is summed apart and added to the
// output in fp32, which is two-level accumulation; sums in fp16 go on for a whole block.
#pragma once

#include <cuda_bf16.h>

#include "attention/cuda/instructions.cuh"
#include "attention/cuda/plugin.h"

namespace bitreel::cuda {

// What multiplies P and V. fp16 also does e4m3, whose numbers it holds, where there is no unit for them.
enum class Product { u8, e4m3, fp16, fp16_sum };

// What a recipe asks of the loop.
struct MmaCall {
  PackedCall packed;
  std::int32_t keys_of_block;   // 64, 128 or 256
  std::int32_t block_maximum;   // 1: weights are against the block's maximum, not the maximum so far
  std::int32_t table;           // 1: powers are looked up at 1/7 octave
  std::int32_t rounded_sum;     // 1: sum(P) is of P as it is multiplied
  std::int32_t rounds_to_e4m3;  // 1: Product::fp16 multiplies e4m3 numbers
  float one;                    // what stands for 1 in P: 127, 255, 448 or 1
  float octaves_of_one;         // its logarithm; 0 for integers, which are multiplied with it
};

namespace mma {

inline constexpr int threads = 128, tile_queries = 64;

// Where 16 bytes of a row of a tile lie in shared memory, so that eight rows' are in different banks.
template <int RowBytes>
__device__ int swizzled(int row, int chunk) {
  constexpr int chunks = RowBytes / 16, of_line = chunks < 8 ? chunks : 8;
  return row * RowBytes + (chunk ^ (row / (8 / of_line)) % of_line) * 16;
}

template <int Dim, Product product, bool four_bits, int Keys>
struct Geometry {
  static constexpr int tile_keys = Keys;
  static constexpr int key_bytes = four_bits ? Dim / 2 : Dim;
  static constexpr int value_bytes = product == Product::u8 || product == Product::e4m3 ? 1 : 2;
  static constexpr int keys_at = 0, values_at = keys_at + tile_keys * key_bytes;
  static constexpr int scales_at = values_at + Dim * tile_keys * value_bytes, bias_at = scales_at + tile_keys * 4;
  static constexpr int stage_bytes = bias_at + tile_keys * 4;
  static constexpr int stages = stage_bytes <= 17 * 1024 ? 3 : 2;
  static constexpr int queries_at = stages * stage_bytes;
  static constexpr int shared_bytes = queries_at + (Dim == 64 ? 0 : tile_queries * key_bytes);
};

// A step of the loop: one tile of keys, in the first or second pass over its block.
struct Step {
  int tile;
  bool first_of_block, last_of_block;  // of the pass
  bool scores_only;                    // the pass for the maximum
};

__device__ inline Step step_of(int step, int tiles, int tiles_of_block) {
  if (tiles_of_block == 1) return {step, true, true, false};
  const int block = step / (2 * tiles_of_block), within = step - block * 2 * tiles_of_block;
  const int here = min(tiles_of_block, tiles - block * tiles_of_block);
  const bool second = within >= here;
  const int tile = within - (second ? here : 0);
  return {block * tiles_of_block + tile, tile == 0, tile == here - 1, !second};
}

// The place of a CTA in the call.
struct Place {
  int batch, key_head, query_head;  // heads numbered over all batches
  int first_query;                  // of the CTA
  int count;                        // keys that count

  __device__ explicit Place(const PackedCall& call) {
    query_head = call.first_head + blockIdx.y;
    batch = query_head / call.query_heads;
    key_head = batch * call.key_heads + query_head % call.query_heads / (call.query_heads / call.key_heads);
    // Causal: the longest rows start first.
    first_query = (call.causal != 0 ? gridDim.x - 1 - blockIdx.x : blockIdx.x) * tile_queries;
    count = call.key_count == nullptr ? call.keys : call.key_count[batch];
  }
  // How many keys, from the first, a query sees.
  __device__ int seen(const PackedCall& call, int query) const {
    if (call.causal == 0) return count;
    const int places = max(0, min(call.keys, min(query, call.queries - 1) + 1 + call.keys - call.queries));
    return call.keys_seen == nullptr ? places : call.keys_seen[std::int64_t{batch} * (call.keys + 1) + places];
  }
};

template <class G, int Dim>
__device__ void load_stage(const PackedCall& call, const Place& place, const Step& step, char* stage) {
  constexpr int tile_keys = G::tile_keys;
  const std::int64_t row_keys = padded(call.keys), first = std::int64_t{step.tile} * tile_keys;
  const auto* const keys = reinterpret_cast<const char*>(call.k) + (place.key_head * row_keys + first) * G::key_bytes;
  constexpr int key_chunks = G::key_bytes / 16;
#pragma unroll 1
  for (int i = threadIdx.x; i < tile_keys * key_chunks; i += threads) {
    copy_async(stage + G::keys_at + swizzled<G::key_bytes>(i / key_chunks, i % key_chunks), keys + i * 16);
  }
  if (threadIdx.x < tile_keys / 4) {
    copy_async(stage + G::scales_at + threadIdx.x * 16,
               call.k_scales + place.key_head * row_keys + first + threadIdx.x * 4);
  } else if (threadIdx.x < tile_keys / 2 && call.qk_bias != nullptr) {
    const std::int64_t blocks = padded(call.queries) / block_tokens;
    const std::int64_t row = (place.query_head - call.first_head) * blocks + place.first_query / block_tokens;
    const int at = threadIdx.x - tile_keys / 4;
    copy_async(stage + G::bias_at + at * 16, call.qk_bias + row * row_keys + first + at * 4);
  }
  if (step.scores_only) return;
  constexpr int value_row = tile_keys * G::value_bytes, value_chunks = value_row / 16;
  const auto* const values = static_cast<const char*>(call.v) +
                             (std::int64_t{place.key_head} * (Dim + extra_rows) * row_keys + first) * G::value_bytes;
#pragma unroll 1
  for (int i = threadIdx.x; i < Dim * value_chunks; i += threads) {
    const int row = i / value_chunks, chunk = i % value_chunks;
    copy_async(stage + G::values_at + swizzled<value_row>(row, chunk),
               values + row * row_keys * G::value_bytes + chunk * 16);
  }
}

// A warp's 16 queries, as the A operand of S: in registers, or in shared memory where an output of 128 channels leaves
// no room.
template <int Steps, bool in_registers>
struct QueryTile {
  static constexpr int row_bytes = Steps * 32;
  unsigned a[in_registers ? Steps : 1][4];
  const char* shared;

  // memory: 64 rows of the CTA's, when not in registers.
  __device__ void load(const std::int8_t* rows, char* memory) {
    const int lane = threadIdx.x % 32;
    if constexpr (in_registers) {
      const std::int8_t* const from = rows + lane / 4 * row_bytes + lane % 4 * 4;
#pragma unroll
      for (int step = 0; step < Steps; ++step) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          a[step][i] = *reinterpret_cast<const unsigned*>(from + i % 2 * 8 * row_bytes + step * 32 + i / 2 * 16);
        }
      }
    } else {
      char* const of_warp = memory + threadIdx.x / 32 * 16 * row_bytes;
      for (int i = lane; i < row_bytes; i += 32) {  // 16 rows of row_bytes / 16 pieces
        constexpr int chunks = row_bytes / 16;
        *reinterpret_cast<uint4*>(of_warp + swizzled<row_bytes>(i / chunks, i % chunks)) =
            reinterpret_cast<const uint4*>(rows)[i];
      }
      __syncwarp();
      shared = of_warp;
    }
  }
  __device__ void operand(int step, unsigned (&to)[4]) const {
    if constexpr (in_registers) {
#pragma unroll
      for (int i = 0; i < 4; ++i) to[i] = a[step][i];
    } else {
      const int lane = threadIdx.x % 32;
      load_tiles(to, shared + swizzled<row_bytes>(lane % 16, step * 2 + lane / 16));
    }
  }
};

// Products of integers of the warp's queries with a tile's keys: [key / 8][C's four].
template <bool four_bits, int Steps, bool in_registers, int Tiles>
__device__ void scores_of(const QueryTile<Steps, in_registers>& q, const char* keys, int (&s)[Tiles][4]) {
  constexpr int row_bytes = Steps * 32;
  const int lane = threadIdx.x % 32;
  const auto multiply = [](int(&c)[4], const unsigned(&a)[4], unsigned b0, unsigned b1) {
    if constexpr (four_bits) {
      mma_s4(c, a, b0, b1);
    } else {
      mma_s8(c, a, b0, b1);
    }
  };
#pragma unroll
  for (int n = 0; n < Tiles; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) s[n][i] = 0;
  }
  unsigned a[2][4], b[4];
  if constexpr (Steps == 1) {
    q.operand(0, a[0]);
#pragma unroll
    for (int n = 0; n < Tiles; n += 2) {
      load_tiles(b, keys + swizzled<row_bytes>(n * 8 + lane / 16 * 8 + lane % 8, lane / 8 % 2));
      multiply(s[n], a[0], b[0], b[1]);
      multiply(s[n + 1], a[0], b[2], b[3]);
    }
  } else {
#pragma unroll
    for (int step = 0; step < Steps; step += 2) {
      q.operand(step, a[0]);
      q.operand(step + 1, a[1]);
#pragma unroll
      for (int n = 0; n < Tiles; ++n) {
        load_tiles(b, keys + swizzled<row_bytes>(n * 8 + lane % 8, step * 2 + lane / 8));
        multiply(s[n], a[0], b[0], b[1]);
        multiply(s[n], a[1], b[2], b[3]);
      }
    }
  }
}

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

// Logits of one tile in octaves, [key / 8][C's four], to weights; sum: of the thread's part of them.
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
        float octaves = logits[n][i] - against[i / 2];
        if (call.table != 0) octaves = (fminf(octaves * -7.0f, 63.0f) + whole - whole) * (-1.0f / 7.0f);
        logits[n][i] = power_of_two(octaves) * call.one;
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
  const float shift[2] = {against[0] - call.octaves_of_one, against[1] - call.octaves_of_one};
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

template <int Dim>
__device__ void store_row(const PackedCall& call, const Place& place, int query, int half,
                          const float (&out)[Dim / 8][4], float sum, float max, float one) {
  if (query >= call.queries) return;
  const int head = place.query_head % call.query_heads, lane = threadIdx.x % 4;
  const float* const scales = call.v_scales + std::int64_t{place.key_head} * Dim;
  const float* const means = call.v_mean + std::int64_t{place.key_head} * Dim;
  const bool broken = isnan(call.q_scales[place.query_head * padded(call.queries) + query]) || isnan(scales[0]);
  const bool alone = sum == 0;  // sees no key
  const std::int64_t at =
      place.batch * call.out_batch_stride + head * call.out_head_stride + query * call.out_token_stride;
#pragma unroll
  for (int n = 0; n < Dim / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int channel = n * 8 + lane * 2 + i;
      if (channel >= call.out_dim) continue;
      float x = fmaf(out[n][half * 2 + i] / sum, scales[channel], means[channel]);
      if (alone) x = 0;
      if (broken) x = NAN;
      switch (call.element) {
        case Element::fp32:
          static_cast<float*>(call.out)[at + channel] = x;
          break;
        case Element::fp16:
          static_cast<__half*>(call.out)[at + channel] = __float2half_rn(x);
          break;
        case Element::bf16:
          static_cast<__nv_bfloat16*>(call.out)[at + channel] = __float2bfloat16_rn(x);
          break;
      }
    }
  }
  if (call.log_sum_exp == nullptr || lane != 0) return;
  constexpr float ln_2 = 0.6931471805599453f;
  float x = (max + log2f(sum / one)) * ln_2 + call.lse_shift[place.query_head * padded(call.queries) + query];
  if (alone) x = -INFINITY;
  if (broken) x = NAN;
  call.log_sum_exp[place.batch * call.lse_batch_stride + head * call.lse_head_stride + query * call.lse_token_stride] =
      x;
}

// grid (tiles of 64 queries, query heads of the call).
template <int Dim, Product product, bool four_bits, int Keys>
__global__ void __launch_bounds__(threads, Dim == 64 && Keys == 64 ? 3 : 2)
    attend(const __grid_constant__ MmaCall call) {
  using G = Geometry<Dim, product, four_bits, Keys>;
  extern __shared__ __align__(128) char shared[];
  const PackedCall& packed = call.packed;
  const Place place(packed);
  const int lane = threadIdx.x % 32, first_row = place.first_query + threadIdx.x / 32 * 16;
  const int row[2] = {first_row + lane / 4, first_row + lane / 4 + 8};
  const int seen[2] = {place.seen(packed, row[0]), place.seen(packed, row[1])};
  const int seen_by_all = place.seen(packed, first_row);
  const int tiles = (place.seen(packed, place.first_query + tile_queries - 1) + Keys - 1) / Keys;
  const int tiles_of_block = call.keys_of_block / Keys, steps = tiles * (tiles_of_block == 1 ? 1 : 2);

  const std::int64_t query_at = place.query_head * padded(packed.queries);
  QueryTile<G::key_bytes / 32, Dim == 64> q;
  q.load(packed.q + (query_at + first_row) * G::key_bytes, shared + G::queries_at);
  const float q_scale[2] = {packed.q_scales[query_at + row[0]], packed.q_scales[query_at + row[1]]};

  SoftmaxRows<Dim, product> rows;
  rows.clear();
  float block_max[2];
  const auto load = [&](int step) {
    if (step < steps) {
      load_stage<G, Dim>(packed, place, step_of(step, tiles, tiles_of_block),
                         shared + step % G::stages * G::stage_bytes);
    }
    commit_copies();
  };
  for (int step = 0; step < G::stages - 1; ++step) load(step);

  for (int at = 0; at < steps; ++at) {
    wait_for_copies<G::stages - 2>();
    __syncthreads();
    load(at + G::stages - 1);
    const Step step = step_of(at, tiles, tiles_of_block);
    const char* const stage = shared + at % G::stages * G::stage_bytes;

    int s[Keys / 8][4];
    scores_of<four_bits>(q, stage + G::keys_at, s);
    float logits[Keys / 8][4];
    const float2* const scales = reinterpret_cast<const float2*>(stage + G::scales_at) + lane % 4;
    const float2* const bias = reinterpret_cast<const float2*>(stage + G::bias_at) + lane % 4;
#pragma unroll
    for (int n = 0; n < Keys / 8; ++n) {
      const float2 scale = scales[n * 4];
      const float2 extra = packed.qk_bias == nullptr ? make_float2(0, 0) : bias[n * 4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        logits[n][i] = fmaf(static_cast<float>(s[n][i]) * (i % 2 == 0 ? scale.x : scale.y), q_scale[i / 2],
                            i % 2 == 0 ? extra.x : extra.y);
      }
    }
    const int first_key = step.tile * Keys;
    if (first_key + Keys > seen_by_all) {
#pragma unroll
      for (int n = 0; n < Keys / 8; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          if (first_key + n * 8 + lane % 4 * 2 + i % 2 >= seen[i / 2]) logits[n][i] = -INFINITY;
        }
      }
    }

    const bool one_pass = tiles_of_block == 1;
    if (one_pass || step.scores_only) {
      if (step.first_of_block) block_max[0] = block_max[1] = -INFINITY;
#pragma unroll
      for (int n = 0; n < Keys / 8; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) block_max[i / 2] = fmaxf(block_max[i / 2], logits[n][i]);
      }
      if (step.last_of_block) rows.begin_block(block_max, call.block_maximum != 0);
    }
    if (step.scores_only) continue;
    Weights<product, Keys> weights;
    float sum[2];
    weigh<product, Keys>(call, logits, rows.against, sum, weights);
    add_product<Dim, product, Keys>(call, weights, stage + G::values_at, sum, step.last_of_block, rows);
  }

#pragma unroll
  for (int r = 0; r < 2; ++r) {
    rows.sum[r] += __shfl_xor_sync(~0u, rows.sum[r], 1);
    rows.sum[r] += __shfl_xor_sync(~0u, rows.sum[r], 2);
    store_row<Dim>(packed, place, row[r], r, rows.out, rows.sum[r], rows.max[r], call.one);
  }
}

template <int Dim, Product product, bool four_bits, int Keys>
int launch(const MmaCall& call, cudaStream_t stream) {
  using G = Geometry<Dim, product, four_bits, Keys>;
  const auto kernel = attend<Dim, product, four_bits, Keys>;
  if (const cudaError_t error =
          cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, G::shared_bytes);
      error != cudaSuccess) {
    return error;
  }
  const dim3 grid((call.packed.queries + tile_queries - 1) / tile_queries, call.packed.head_count);
  kernel<<<grid, threads, G::shared_bytes, stream>>>(call);
  return cudaGetLastError();
}

// Tiles of 128 keys go once through the blocks of the program's own recipes; registers hold them with 64 channels.
template <Product product, bool four_bits>
int launch_any(const MmaCall& call, cudaStream_t stream) {
  constexpr int most_keys = product == Product::e4m3 || product == Product::fp16 ? 128 : 64;
  if (call.packed.dim == 128) return launch<128, product, four_bits, 64>(call, stream);
  return call.keys_of_block == 64 ? launch<64, product, four_bits, 64>(call, stream)
                                  : launch<64, product, four_bits, most_keys>(call, stream);
}

}  // namespace mma

// One .cu file each. Those of _s4 take packed halves of bytes, the others bytes.
int attend_u8(const MmaCall& call, cudaStream_t stream);
int attend_e4m3(const MmaCall& call, cudaStream_t stream);
int attend_e4m3_s4(const MmaCall& call, cudaStream_t stream);
int attend_fp16(const MmaCall& call, cudaStream_t stream);
int attend_fp16_s4(const MmaCall& call, cudaStream_t stream);
int attend_fp16_sum(const MmaCall& call, cudaStream_t stream);

}  // namespace bitreel::cuda
