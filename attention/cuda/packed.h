// Quantized q, k and v as CUDA kernels read them: what the quantization pass writes and every attention kernel's input.
// quantize() of plugin.h fills it, attend_mma() and attend_sm90() read it; prepared_call.h shows how.
//
// No ATen here and no memory of its own: pointers to device memory, counted in elements, dense unless it says strides.
// `tokens padded` is the count rounded up to 128; `dim` is 64 or 128, channels beyond the caller's are zeros.
// Recipe terms (attention/recipe.h): integers, groups and means are the recipe's bit for bit; one head is one
// (batch, head). The arrays are
//   q         [B, Hq, padded queries, dim] int8
//   q_scales  [B, Hq, padded queries] fp32: the token's scale * the logits' scale * log2(e), for S in log2 units.
//             Never negative: where the logits' scale is, q's integers are negated. NaN where the query holds NaN or
//             infinity: its output and log-sum-exp must come out NaN, its integers are those of zeros. 0 for padding.
//   k         [B, Hkv, padded keys, dim] int8, zeros for padding
//             IntegerFormat::halves: both are [.., dim / 2], two channels a byte, the even one in the low half; e4m3:
//             the same integers as numbers of that format, which holds those of 4 bits.
//   k_scales  KeyScales::warpgroup: [B, Hkv, padded keys / 128, 4] fp32, of key j of a tile of 128 at (j % 8) / 2:
//             what one thread of a wgmma.m64n128 (or of sixteen mma.m16n8) owns
//             KeyScales::token: [B, Hkv, padded keys] fp32, whatever the recipe's groups
//   v         transposed, [B, Hkv, dim + 8, padded keys] of int8, e4m3 (one byte) or fp16 (two). Row dim is 1 for keys
//             that count and 0 for padding, in that format (int8: 1; e4m3: 0x38; fp16: 0x3c00), the seven after it
//             zeros: the product with P gives sum(P) as channel `dim`. Padding is zeros everywhere.
//             Bytes lie permuted within each 16 keys, in the order 0 1 8 9 2 3 10 11 4 5 12 13 6 7 14 15, so that the
//             accumulator of S is the A operand of P V without moving anything between threads: of the 16 keys a
//             thread holds columns 2t, 2t + 1, 8 + 2t, 9 + 2t, and as 8-bit A operand wants 4t .. 4t + 3. fp16 keys lie
//             in order, as its A operand is S's accumulator as it is.
//   v_scales  [B, Hkv, dim] fp32. NaN in every channel when the head holds NaN or infinity (or leaves fp32 when
//             its mean is taken off): output and log-sum-exp of its queries must come out NaN.
//   v_mean    [B, Hkv, dim] fp32, to be added to the output (Recipe::v_mean)
//   k_mean    [B, Hkv, dim] fp32; zeros without smooth_k
//   lse_shift [B, Hq, padded queries] fp32, or null when no log-sum-exp is asked for: q . mean(k) * scale, what
//             smoothing took off the logits; LSE = (m + log2(sum)) * ln 2 + lse_shift
//   key_count [B] int32: how many keys count, the first of the packed ones; null when all `keys` do
//   keys_seen [B, keys + 1] int32: how many of the keys that count are among the first n of the original ones: with
//             causality a query i sees the first keys_seen[b][clamp(i + 1 + keys - queries, 0, keys)] packed keys. Null
//             when all keys count, where that is clamp(i + 1 + keys - queries, 0, keys) itself.
//   q_means   [B, Hq, padded queries / 128, dim] fp32, or null without smooth_q: of blocks of 128 queries
//   qk_bias   [heads of the call's chunk, padded queries / 128, padded keys] fp32, or null without smooth_q:
//             mean(q block) . k' * scale * log2(e), to be added to S in log2 units
#pragma once

#include <cstdint>

namespace bitreel::cuda {

inline constexpr int block_tokens = 128;  // what tokens are padded to, and queries share a mean over
inline constexpr int extra_rows = 8;      // of v: the ones, and what fills a tile

inline constexpr std::int64_t padded(std::int64_t tokens) {
  return (tokens + block_tokens - 1) / block_tokens * block_tokens;
}

enum class Element : std::int32_t { fp32, fp16, bf16 };
enum class IntegerFormat : std::int32_t { bytes, halves, e4m3 };
enum class KeyScales : std::int32_t { warpgroup, token };
enum class ValueFormat : std::int32_t { int8, e4m3, fp16, e4m3_in_fp16 };

// Numbers of V are whole multiples of one over this, so that their sums can be integers: exact in any order.
inline constexpr std::int64_t units_of_one(ValueFormat format) {
  if (format == ValueFormat::int8) return 1;
  return format == ValueFormat::fp16 ? 1 << 24 : 1 << 9;
}

// [B, H, N, D] of the caller's, any strides, the last 1.
struct Rows {
  const void* data;
  std::int64_t batch_stride, head_stride, token_stride;
};

// One attention call after quantization. Everything a kernel needs, and all that it may touch.
struct PackedCall {
  std::int32_t batch, query_heads, key_heads;  // of the whole call
  std::int32_t queries, keys;                  // as the caller has them; keys before the mask
  std::int32_t dim;                            // 64 or 128
  std::int32_t out_dim;                        // the caller's, up to dim
  std::int32_t causal;                         // 1: query i sees keys up to i + keys - queries

  std::int8_t* q;
  float* q_scales;
  std::int8_t* k;
  float* k_scales;
  void* v;
  float* v_scales;
  float* v_mean;
  float* k_mean;
  float* lse_shift;
  std::int32_t* key_count;
  std::int32_t* keys_seen;
  float* q_means;
  float* qk_bias;

  IntegerFormat integers;
  KeyScales key_scales;
  ValueFormat values;

  void* out;  // [B, Hq, queries, out_dim] of `element`, last stride 1
  std::int64_t out_batch_stride, out_head_stride, out_token_stride;
  Element element;
  float* log_sum_exp;  // [B, Hq, queries], or null
  std::int64_t lse_batch_stride, lse_head_stride, lse_token_stride;

  // Only these query heads (numbered over all batches) attend: [first_head, first_head + head_count). All pointers are
  // to head 0, but qk_bias is to first_head's.
  std::int32_t first_head, head_count;
};

}  // namespace bitreel::cuda
