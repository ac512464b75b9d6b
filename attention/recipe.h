// How one attention call is quantized, in the papers' terms, field by field. Recipes of precisions and by name:
// attention/recipes.h.
//
//   Recipe recipe = recipe_of(Precision::int8, at::kCPU);
//   recipe.smooth_v = Smoothing::off;
//   at::Tensor o = attend(q, k, v, {.recipe = recipe});
//
// Per (batch, head), with i a query, j a key, c a channel, kept in fp32 except integers and sums of integers:
//   k' = k - mean(k) when smooth_k, of the keys that `k_mean` says
//   q' = q - mean(its block of 128) when smooth_q; v' = v - mean(v) when smooth_v
//   integers = round(x' * (levels / amax)), scale = amax / levels over a group of tokens, levels 127 (int8) or 7 (int4)
//   V = v' * (levels / amax) in the format that `pv` says, scale sv = amax / levels over what `v_scale` says
//   S[i,j] = (qi . kj) * sq[i] * sk[j] * scale * log2(e)  (+ mean(q block) . k'[j] * scale * log2(e) when smooth_q)
//   P = quantized 2^(S - m), m the maximum as `maximum` says, over blocks of `key_block` keys
//   O[i,c] = sum over blocks (P . V) rescaled / sum(P), * sv[c] + what `v_mean` adds: mean(v)[c] when smooth_v
//   LSE[i] = m + log2(sum(P)), in natural logarithm  (+ q[i] . mean(k) * scale when smooth_k)
// With channel_group, q and k have a scale for each group of tokens and group of channels, and S sums over channel
// groups. Subtracting mean(k) changes no output: it shifts all logits of a row alike (2410.02367 section 4.2); the term
// of mean(q) must be added back, from k' before its quantization (2411.10958 section 3.1). Rounding is to nearest, ties
// to even. Means are fp64 sums in token order, divided in fp64, rounded to fp32; amax is at least 1e-30, so that zeros
// get a finite scale. Keys that key_mask leaves out are taken out before all else: groups, blocks and means are of what
// is left, in order; causality still counts the original indices, and m is over the keys that the query sees. A query
// that holds NaN or infinity is a row of zeros to the others of its block. Where k' or v' leaves fp32 the head is NaN;
// where logits do, their row may be.
#pragma once

#include <cstdint>

#include "attention/precision.h"

namespace bitreel {

enum class QkFormat { int8, int4 };

// Which tokens share one scale. Query blocks have 128 rows, their warps 32; key blocks have 64.
// Threads own what one thread of an mma.m16n8 tile owns (2411.10958 section 3.2, as the published code has it):
//   queries {w + i, w + i + 8, w + i + 16, w + i + 24}, i in 0..7, of each warp w; keys {8m + 2j, 8m + 2j + 1}, m and j
//   in 0..7 and 0..3, of each block.
// A key's warp is its block. strip: 16 consecutive tokens, the height of a CPU tile.
// warpgroup: what one thread of a wgmma.m64n128 tile owns: queries {w + i, w + i + 8}, i in 0..7, of each 16; keys
//   {8m + 2j, 8m + 2j + 1}, m in 0..15 and j in 0..3, of each 128.
enum class Granularity { block, warp, thread, token, strip, warpgroup };

// int8: V per channel with 127 levels, P unsigned with p_levels, sum(P) of the integers.
// fp16: P rounded to fp16, sum(P) before it; V to fp16 after a power of two per channel, so that key_block * amax is in
//   (2^14, 2^15] and no sum can overflow. fp16_fp16_sum rounds the sums to fp16 too, every 16 keys within a key block.
// fp8: P * 448 and V per channel with 448 levels in E4M3, fp32 sums. two_level adds each key block's sum to the output,
//   sum(P) before rounding; ones_row takes sum(P) from the rounded P, by one more row of V.
enum class PvFormat { int8, fp16, fp16_fp16_sum, fp8_two_level, fp8_ones_row };

enum class Smoothing { off, on };

// Which keys mean(k) is of. Any vector taken off all keys leaves outputs as they are; the mean of a few is as near to
// the middle, and saves reading all keys before the first is quantized. sampled: of each 128 keys the first 16, so that
// neither rows of patches nor one part of the sequence stand for all.
enum class KeyMean { all, sampled };

// Which values of a channel its scale is of. sampled, where V is in e4m3 and keeps its mean, of all elsewhere: amax is
// sample_room times the largest of those that KeyMean::sampled takes, at least 1e-30; the largest of all where that is
// more. A float's relative precision is the same in most of its range, so a larger amax costs nothing, and values
// needn't be read before the first is rounded.
enum class ValueScale { all, sampled };

// What of V's mean outputs get back. subtracted: what smooth_v took off. exact: mean(v) - sv * mean(V as rounded), so
// that equal weights give the mean of the values. Rounding errors of a channel have a mean of their own, 2.5e-4 of its
// deviation in e4m3 however many keys there are, which stands out where outputs average thousands of values.
enum class ValueMean { subtracted, exact };

// What the exponent is taken against: the maximum so far (FlashAttention), or the block's own, merged in fp32.
enum class Maximum { running, block };

// How P's 8-bit values come about: rounded from the exact power of two, or looked up, in steps of 1/7 of a log2 unit,
// in a table of 64 bytes: round(p_levels * 2^(-i/7)), i = round(7 (m - S)) up to 63, which is zero: 2^-9. The table is
// for int8 PV only.
enum class Exponential { exact, table };

struct Recipe {
  Precision precision = Precision::int8;  // whose recipe it started from
  QkFormat qk = QkFormat::int8;
  Granularity q_scales = Granularity::token;
  Granularity k_scales = Granularity::strip;
  std::int64_t channel_group = 0;  // channels of a token that share a scale, as in microscaling formats; 0: all of them
  Smoothing smooth_q = Smoothing::off;
  Smoothing smooth_k = Smoothing::on;
  Smoothing smooth_v = Smoothing::off;
  KeyMean k_mean = KeyMean::all;
  ValueScale v_scale = ValueScale::all;
  ValueMean v_mean = ValueMean::subtracted;
  PvFormat pv = PvFormat::int8;
  int p_levels = 255;  // int8 PV: P's largest integer, 127 or 255
  Exponential exponential = Exponential::table;
  Maximum maximum = Maximum::block;
  std::int64_t key_block = 128;  // 64, 128 or 256

  bool operator==(const Recipe&) const = default;
};

inline constexpr std::int64_t query_block = 128;  // rows that smooth_q and Granularity::block share

// mean(k) is of the first run_of_mean() of each `sample_period` keys: of all, or of `sample_run`.
inline constexpr std::int32_t sample_run = 16, sample_period = 128;

constexpr std::int32_t run_of_mean(const Recipe& recipe) {
  return recipe.k_mean == KeyMean::sampled ? sample_run : sample_period;
}

// Of so many keys, how many it is of.
constexpr std::int32_t keys_of_mean(const Recipe& recipe, std::int32_t keys) {
  const std::int32_t run = run_of_mean(recipe), rest = keys % sample_period;
  return keys / sample_period * run + (rest < run ? rest : run);
}

// e4m3's normal numbers reach from 448 down to 2^-6: values of up to 448 / sample_room are as exact as up to 448,
// unless the largest is more than 1,792 times as large.
inline constexpr float sample_room = 16;

constexpr bool has_sampled_scale(const Recipe& recipe) {
  const bool in_e4m3 = recipe.pv == PvFormat::fp8_two_level || recipe.pv == PvFormat::fp8_ones_row;
  return recipe.v_scale == ValueScale::sampled && in_e4m3 && recipe.smooth_v == Smoothing::off;
}

}  // namespace bitreel
