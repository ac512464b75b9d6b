// The oracle against recipe.h read once more, as plain loops over one head: one query, one block of keys, one key at a
// time. Integers and scales are taken from quantize.h, which has tests of its own.

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>
#include <vector>

#include "attention/registry.h"
#include "attention/torch/quantize.h"
#include "tests/attention/calls.h"

namespace bitreel {
namespace {

constexpr std::int64_t queries = 140, keys = 300, dim = 24;

double to_half(double x) {
  return static_cast<double>(static_cast<float>(c10::Half(static_cast<float>(x))));
}

double to_e4m3(double x) {
  return static_cast<double>(static_cast<float>(c10::Float8_e4m3fn(static_cast<float>(x))));
}

struct Head {
  QuantizedTokens q, k;
  QuantizedValues v;
  double scale;
};

double number(const at::Tensor& x, std::int64_t row, std::int64_t column) {
  return x[row][column].item().toDouble();
}

double scale_of(const QuantizedTokens& x, std::int64_t token, std::int64_t channel, const Recipe& recipe) {
  const at::Tensor of_token = x.scales[token];
  return (recipe.channel_group == 0 ? of_token : of_token[channel / recipe.channel_group]).item<double>();
}

double logit(const Head& head, const Recipe& recipe, std::int64_t i, std::int64_t j) {
  double sum = 0, of_mean = 0;
  for (std::int64_t c = 0; c < dim; ++c) {
    sum += number(head.q.integers, i, c) * scale_of(head.q, i, c, recipe) * number(head.k.integers, j, c) *
           scale_of(head.k, j, c, recipe);
    of_mean += number(head.q.mean, i / 128, c) * number(head.k.smoothed, j, c);
  }
  return (sum + (recipe.smooth_q == Smoothing::on ? of_mean : 0)) * head.scale * std::numbers::log2e;
}

struct Power {
  double p, in_sum;
};

Power power(const Recipe& recipe, double log2) {
  const double exact = std::exp2(log2);
  switch (recipe.pv) {
    case PvFormat::int8: {
      const double index = std::nearbyint(-7 * log2);
      const double table = index >= 63 ? 0 : std::nearbyint(recipe.p_levels * std::exp2(-index / 7));
      const double p = recipe.exponential == Exponential::table ? table : std::nearbyint(recipe.p_levels * exact);
      return {p / recipe.p_levels, p / recipe.p_levels};
    }
    case PvFormat::fp16:
    case PvFormat::fp16_fp16_sum:
      return {to_half(exact), exact};
    case PvFormat::fp8_two_level:
      return {to_e4m3(448 * exact) / 448, exact};
    case PvFormat::fp8_ones_row:
      return {to_e4m3(448 * exact) / 448, to_e4m3(448 * exact) / 448};
  }
  return {};
}

// One output row and, last, its log-sum-exp before q . mean(k) is added.
std::vector<double> row_by_hand(const Head& head, const Recipe& recipe, std::int64_t i) {
  double m = -std::numeric_limits<double>::infinity(), l = 0;
  std::vector<double> out(dim, 0.0);
  for (std::int64_t first = 0; first < keys; first += recipe.key_block) {
    const std::int64_t last = std::min(first + recipe.key_block, keys);
    std::vector<double> s;
    for (std::int64_t j = first; j < last; ++j) s.push_back(logit(head, recipe, i, j));
    const double largest = *std::max_element(s.begin(), s.end()), after = std::max(m, largest);
    const double against = recipe.maximum == Maximum::block ? largest : after;
    double sum = 0;
    std::vector<double> product(dim, 0.0), sixteen(dim, 0.0);
    for (std::int64_t j = first; j < last; ++j) {
      const Power p = power(recipe, s[static_cast<std::size_t>(j - first)] - against);
      sum += p.in_sum;
      for (std::int64_t c = 0; c < dim; ++c) {
        const auto channel = static_cast<std::size_t>(c);
        sixteen[channel] += p.p * number(head.v.values, j, c);
        if ((j - first) % 16 != 15 && j + 1 != last) continue;
        product[channel] += std::exchange(sixteen[channel], 0);
        if (recipe.pv == PvFormat::fp16_fp16_sum) product[channel] = to_half(product[channel]);
      }
    }
    const double before = std::exp2(m - after), now = std::exp2(against - after);
    l = l * before + sum * now;
    for (std::int64_t c = 0; c < dim; ++c) {
      double& o = out[static_cast<std::size_t>(c)];
      o = o * before + product[static_cast<std::size_t>(c)] * now;
    }
    m = after;
  }
  for (std::int64_t c = 0; c < dim; ++c) {
    double& o = out[static_cast<std::size_t>(c)];
    o = o / l * head.v.scales[c].item<double>() + head.v.mean[c].item<double>();
  }
  out.push_back((m + std::log2(l)) * std::numbers::ln2);
  return out;
}

TEST(Emulated, IsTheRecipeOneNumberAtATime) {
  Inputs in = cpu_inputs({.queries = queries, .keys = keys, .dim = dim}, 30);
  in.q *= 2;
  in.k += 1;
  for (const std::string& text : recipe_texts()) {
    const Recipe recipe = recipe_from(text, at::kCPU);
    const Answer answer = run(backend_named("emulated"), in, {.recipe = recipe});
    const Head head = {quantize_queries(in.q[0][0], recipe), quantize_keys(in.k[0][0], recipe),
                       quantize_values(in.v[0][0], recipe), 1 / std::sqrt(static_cast<double>(dim))};
    for (const std::int64_t i : {0, 131}) {
      const std::vector<double> expected = row_by_hand(head, recipe, i);
      double of_mean = 0;
      for (std::int64_t c = 0; c < dim; ++c) {
        of_mean += number(in.q[0][0], i, c) * number(head.k.mean, 0, c) * head.scale;
        EXPECT_NEAR(answer.out[0][0][i][c].item<double>(), expected[static_cast<std::size_t>(c)], 3e-7) << text;
      }
      EXPECT_NEAR(answer.log_sum_exp[0][0][i].item<double>(), expected.back() + of_mean, 1e-6) << text;
    }
  }
}

}  // namespace
}  // namespace bitreel
