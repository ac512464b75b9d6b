#include "attention/torch/quantize.h"

#include <ATen/ATen.h>

#include <limits>

namespace bitreel {
namespace {

constexpr double least_amax = 1e-30;
constexpr double e4m3_max = 448;

double levels_of(QkFormat format) {
  return format == QkFormat::int8 ? 127 : 7;
}

// True division: a tensor over a number is a product with its inverse on some devices.
at::Tensor over(double numerator, const at::Tensor& x) {
  return at::full_like(x, numerator) / x;
}

at::Tensor over(const at::Tensor& x, double denominator) {
  return x / at::full_like(x, denominator);
}

// [N, D] fp32 -> [1, D] fp32. cumsum adds in token order, which sum() does not.
at::Tensor mean_of_tokens(const at::Tensor& x) {
  const at::Tensor sum = at::cumsum(x.to(at::kDouble), 0).slice(0, x.size(0) - 1);
  return over(sum, static_cast<double>(x.size(0))).to(at::kFloat);
}

at::Tensor mean_or_zeros(const at::Tensor& x, Smoothing smoothing) {
  return smoothing == Smoothing::on ? mean_of_tokens(x) : at::zeros({1, x.size(1)}, x.options());
}

enum class Side { query, key };

// [N] int64: the group of each token, numbered from 0.
at::Tensor groups_of(const at::Tensor& token, Granularity granularity, Side side) {
  const auto divided = [&](std::int64_t by) { return at::floor_divide(token, by); };
  const std::int64_t block = side == Side::query ? query_block : 64;
  switch (granularity) {
    case Granularity::block:
      return divided(block);
    case Granularity::warp:
      return divided(side == Side::query ? 32 : block);
    case Granularity::thread:
      return side == Side::query ? divided(32) * 8 + token % 8 : divided(block) * 4 + at::floor_divide(token, 2) % 4;
    case Granularity::strip:
      return divided(16);
    case Granularity::warpgroup:
      return side == Side::query ? divided(16) * 8 + token % 8 : divided(128) * 4 + at::floor_divide(token, 2) % 4;
    case Granularity::token:
      break;
  }
  return token;
}

// The largest size of each token's channel groups, [N, channel groups].
at::Tensor amax_of_channels(const at::Tensor& x, std::int64_t channels) {
  std::vector<at::Tensor> parts;
  for (const at::Tensor& part : x.abs().split(channels, 1)) parts.push_back(part.amax(1));
  return at::stack(parts, 1);
}

QuantizedTokens quantize_tokens(const at::Tensor& smoothed, const at::Tensor& mean, const Recipe& recipe,
                                const at::Tensor& groups) {
  const std::int64_t count = groups.max().item<std::int64_t>() + 1, dim = smoothed.size(1);
  const std::int64_t channels = recipe.channel_group == 0 ? std::max<std::int64_t>(dim, 1) : recipe.channel_group;
  const at::Tensor sizes = amax_of_channels(smoothed, channels);
  const at::Tensor amax = at::zeros({count, sizes.size(1)}, smoothed.options())
                              .scatter_reduce(0, groups.unsqueeze(1).expand_as(sizes), sizes, "amax")
                              .clamp_min(least_amax)
                              .index_select(0, groups);
  const double levels = levels_of(recipe.qk);
  const at::Tensor factors = of_each_channel(over(levels, amax), channels, dim);
  return {.integers = at::round(smoothed * factors).to(at::kChar),
          .scales = recipe.channel_group == 0 ? over(amax, levels).squeeze(1) : over(amax, levels),
          .smoothed = smoothed,
          .mean = mean};
}

// [N]: whether a token is among the first `run` of each sample_period.
at::Tensor is_sampled(const at::Tensor& token, std::int32_t run) {
  return token.remainder(sample_period) < run;
}

at::Tensor index_of_tokens(const at::Tensor& x) {
  return at::arange(x.size(0), x.options().dtype(at::kLong));
}

// [N, D] -> [D].
at::Tensor amax_of_values(const at::Tensor& x, const Recipe& recipe) {
  const at::Tensor sizes = x.abs();
  at::Tensor of_all = sizes.amax(0).clamp_min(least_amax);
  if (!has_sampled_scale(recipe)) return of_all;
  const at::Tensor of_some = sizes.index({is_sampled(index_of_tokens(x), sample_run)}).amax(0);
  const at::Tensor room = (of_some * sample_room).clamp(least_amax, std::numeric_limits<float>::max());
  return at::where(of_all > room, of_all, room);
}

// Where each channel's largest value, times the keys of a block, is in (2^14, 2^15].
at::Tensor powers_of_two(const at::Tensor& amax, std::int64_t key_block) {
  const auto [mantissa, exponent] = at::frexp(amax.to(at::kDouble) * static_cast<double>(key_block));
  const at::Tensor is_power = (mantissa == 0.5).to(exponent.scalar_type());
  return at::exp2((exponent - is_power - 15).to(at::kFloat));
}

}  // namespace

at::Tensor of_each_channel(const at::Tensor& scales, std::int64_t channels, std::int64_t dim) {
  return scales.repeat_interleave(channels, 1).slice(1, 0, dim);
}

at::Tensor round_to_e4m3(const at::Tensor& x) {
  return x.clamp(-e4m3_max, e4m3_max).to(at::kFloat).to(at::kFloat8_e4m3fn).to(x.scalar_type());
}

QuantizedTokens quantize_keys(const at::Tensor& k, const Recipe& recipe) {
  const at::Tensor x = k.to(at::kFloat);
  const at::Tensor token = index_of_tokens(x);
  const at::Tensor of_mean = x.index({is_sampled(token, run_of_mean(recipe))});
  const at::Tensor mean = mean_or_zeros(of_mean, recipe.smooth_k);
  return quantize_tokens(x - mean, mean, recipe, groups_of(token, recipe.k_scales, Side::key));
}

QuantizedTokens quantize_queries(const at::Tensor& q, const Recipe& recipe) {
  const at::Tensor x = q.to(at::kFloat);
  const at::Tensor token = index_of_tokens(x);
  std::vector<at::Tensor> means;
  for (const at::Tensor& block : x.split(query_block)) means.push_back(mean_or_zeros(block, recipe.smooth_q));
  const at::Tensor mean = at::cat(means);
  const at::Tensor smoothed = x - mean.index_select(0, at::floor_divide(token, query_block));
  return quantize_tokens(smoothed, mean, recipe, groups_of(token, recipe.q_scales, Side::query));
}

QuantizedValues quantize_values(const at::Tensor& v, const Recipe& recipe) {
  const at::Tensor x = v.to(at::kFloat);
  const at::Tensor mean = mean_or_zeros(x, recipe.smooth_v);
  const at::Tensor smoothed = x - mean;
  const at::Tensor amax = amax_of_values(smoothed, recipe);
  at::Tensor values, scales;
  switch (recipe.pv) {
    case PvFormat::int8:
      values = at::round(smoothed * over(127, amax));
      scales = over(amax, 127);
      break;
    case PvFormat::fp16:
    case PvFormat::fp16_fp16_sum:
      scales = powers_of_two(amax, recipe.key_block);
      values = (smoothed / scales).to(at::kHalf).to(at::kFloat);
      break;
    case PvFormat::fp8_two_level:
    case PvFormat::fp8_ones_row:
      values = round_to_e4m3(smoothed * over(e4m3_max, amax));
      scales = over(amax, e4m3_max);
      break;
  }
  if (recipe.v_mean == ValueMean::subtracted) return {.values = values, .scales = scales, .mean = mean[0]};
  const auto fp64 = [](const at::Tensor& of_channels) { return of_channels.to(at::kDouble); };
  const at::Tensor exact = fp64(mean_of_tokens(x)[0]) - fp64(scales) * fp64(mean_of_tokens(values)[0]);
  return {.values = values, .scales = scales, .mean = exact.to(at::kFloat)};
}

}  // namespace bitreel
