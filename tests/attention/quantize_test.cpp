// Integers and scales against recipe.h's words, worked out here one element at a time.
#include "attention/torch/quantize.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "tests/attention/calls.h"

namespace bitreel {
namespace {

constexpr std::int64_t sample_tokens = 300, sample_dim = 24;

at::Tensor sample() {
  at::Tensor x = normal({sample_tokens, sample_dim}, 3) * 2 + normal({sample_dim}, 4);
  x *= at::linspace(0.1, 3, sample_tokens).unsqueeze(1);
  x.slice(0, 130, 180).zero_();
  return x;
}

float at_of(const at::Tensor& x, std::int64_t i, std::int64_t c) {
  return x.const_data_ptr<float>()[i * sample_dim + c];
}

float mean_by_hand(const at::Tensor& x, std::int64_t first, std::int64_t last, std::int64_t c) {
  double sum = 0;
  for (std::int64_t i = first; i < last; ++i) sum += static_cast<double>(at_of(x, i, c));
  return static_cast<float>(sum / static_cast<double>(last - first));
}

using GroupOf = std::function<std::int64_t(std::int64_t token)>;

// Compares every integer and scale with those of the group's largest value.
void expect_by_hand(const QuantizedTokens& actual, const at::Tensor& smoothed, float levels, const GroupOf& group) {
  std::map<std::int64_t, float> amax;
  for (std::int64_t i = 0; i < sample_tokens; ++i) {
    float& largest = amax.try_emplace(group(i), 1e-30F).first->second;
    for (std::int64_t c = 0; c < sample_dim; ++c) largest = std::max(largest, std::fabs(at_of(smoothed, i, c)));
  }
  std::int64_t wrong = 0;
  for (std::int64_t i = 0; i < sample_tokens; ++i) {
    const float largest = amax.at(group(i)), inverse = levels / largest;
    wrong += actual.scales.const_data_ptr<float>()[i] != largest / levels ? 1 : 0;
    for (std::int64_t c = 0; c < sample_dim; ++c) {
      const auto expected = static_cast<std::int8_t>(std::nearbyintf(at_of(smoothed, i, c) * inverse));
      wrong += actual.integers.const_data_ptr<std::int8_t>()[i * sample_dim + c] != expected ? 1 : 0;
    }
  }
  EXPECT_EQ(wrong, 0);
}

at::Tensor less_its_mean(const at::Tensor& x, std::int64_t block) {
  at::Tensor smoothed = x.clone();
  for (std::int64_t first = 0; first < sample_tokens; first += block) {
    const std::int64_t last = std::min(first + block, sample_tokens);
    for (std::int64_t c = 0; c < sample_dim; ++c) {
      const float mean = mean_by_hand(x, first, last, c);
      for (std::int64_t i = first; i < last; ++i) {
        smoothed.mutable_data_ptr<float>()[i * sample_dim + c] = at_of(x, i, c) - mean;
      }
    }
  }
  return smoothed;
}

struct Groups {
  std::string name;
  GroupOf of_query, of_key;
};

const std::vector<Groups>& groupings() {
  static const std::vector<Groups> all = {
      {"block", [](std::int64_t i) { return i / 128; }, [](std::int64_t i) { return i / 64; }},
      {"warp", [](std::int64_t i) { return i / 32; }, [](std::int64_t i) { return i / 64; }},
      {"thread", [](std::int64_t i) { return i / 32 * 100 + i % 8; },
       [](std::int64_t i) { return i / 64 * 100 + i % 8 / 2; }},
      {"strip", [](std::int64_t i) { return i / 16; }, [](std::int64_t i) { return i / 16; }},
      {"warpgroup", [](std::int64_t i) { return i / 16 * 100 + i % 8; },
       [](std::int64_t i) { return i / 128 * 100 + i % 8 / 2; }},
      {"token", [](std::int64_t i) { return i; }, [](std::int64_t i) { return i; }},
  };
  return all;
}

TEST(Quantize, GivesTheIntegersAndScalesOfEveryGrouping) {
  const at::Tensor x = sample();
  for (const Groups& groups : groupings()) {
    SCOPED_TRACE(groups.name);
    const Recipe recipe = recipe_from("int8+scales=" + groups.name, at::kCPU);
    expect_by_hand(quantize_queries(x, recipe), x, 127, groups.of_query);
    expect_by_hand(quantize_keys(x, recipe), less_its_mean(x, sample_tokens), 127, groups.of_key);
    const Recipe four = recipe_from("int4+smooth-k=off+scales=" + groups.name, at::kCPU);
    expect_by_hand(quantize_queries(x, four), less_its_mean(x, 128), 7, groups.of_query);
    expect_by_hand(quantize_keys(x, four), x, 7, groups.of_key);
  }
}

TEST(Quantize, TakesTheMeanOfSomeKeysOff) {
  const at::Tensor k = normal({300, 40}, 6) + at::linspace(-3, 3, 40);
  const Recipe recipe = recipe_from("int8+k-mean=sampled", at::kCPU);
  const QuantizedTokens keys = quantize_keys(k, recipe);
  const at::Tensor some = at::cat({k.slice(0, 0, 16), k.slice(0, 128, 144), k.slice(0, 256, 272)});
  EXPECT_EQ(keys_of_mean(recipe, 300), some.size(0));
  EXPECT_TRUE(at::allclose(keys.mean[0], some.mean(0), 0, 1e-6));
  EXPECT_TRUE(at::equal(keys.smoothed, k - keys.mean));
  EXPECT_EQ(keys_of_mean(recipe, 128 + 5), 16 + 5);
  EXPECT_EQ(keys_of_mean(recipe_from("int8", at::kCPU), 128 + 5), 128 + 5);
}

TEST(Quantize, GivesEachGroupOfChannelsItsOwnScale) {
  const at::Tensor x = normal({sample_tokens, 40}, 5) * at::linspace(0.1, 30, 40);
  const Recipe grouped = recipe_from("int8+scales=warp+channel-group=16", at::kCPU);
  const Recipe whole = recipe_from("int8+scales=warp", at::kCPU);
  const QuantizedTokens q = quantize_queries(x, grouped);
  ASSERT_EQ(q.scales.sizes().vec(), (std::vector<std::int64_t>{sample_tokens, 3}));
  for (std::int64_t group = 0; group < 3; ++group) {
    const auto of_group = [&](const at::Tensor& all) {
      return all.slice(1, group * 16, std::min<std::int64_t>(group * 16 + 16, 40));
    };
    const QuantizedTokens alone = quantize_queries(of_group(x), whole);
    EXPECT_TRUE(at::equal(of_group(q.integers), alone.integers)) << group;
    EXPECT_TRUE(at::equal(q.scales.select(1, group), alone.scales)) << group;
  }
}

// What one thread of mma.m16n8k32 holds of C: rows t/4 and t/4 + 8, columns 2(t%4) and 2(t%4) + 1.
TEST(Quantize, GroupsOfThreadsAreWhatATensorCoresThreadOwns) {
  const Recipe recipe = recipe_from("int8+scales=thread+smooth-k=off", at::kCPU);
  at::Tensor x = at::ones({128, 1});
  for (const int thread : {0, 5, 31}) {
    std::set<std::int64_t> queries, keys;
    for (int tile = 0; tile < 2; ++tile) {
      for (int half = 0; half < 2; ++half) queries.insert(tile * 16 + half * 8 + thread / 4);
    }
    for (int tile = 0; tile < 8; ++tile) {
      for (int column = 0; column < 2; ++column) keys.insert(tile * 8 + 2 * (thread % 4) + column);
    }
    const auto marked = [&](const std::set<std::int64_t>& owned) {
      at::Tensor y = x.clone();
      y[*owned.begin()][0] = 100;  // one token's value shows in the scales of its group, and only there
      return y;
    };
    const at::Tensor q = quantize_queries(marked(queries), recipe).scales > 0.5;
    const at::Tensor k = quantize_keys(marked(keys), recipe).scales > 0.5;
    for (std::int64_t i = 0; i < 128; ++i) {
      EXPECT_EQ(q[i].item<bool>(), queries.contains(i)) << "query " << i << " of thread " << thread;
      EXPECT_EQ(k[i].item<bool>(), keys.contains(i)) << "key " << i << " of thread " << thread;
    }
  }
}

TEST(Quantize, SharesNothingBetweenBlocksOfQueries) {
  const Recipe recipe = recipe_of(Precision::int4, at::kCPU);
  at::Tensor x = sample();
  const QuantizedTokens before = quantize_queries(x, recipe);
  x.slice(0, 128, 256) *= 50;
  const QuantizedTokens after = quantize_queries(x, recipe);
  EXPECT_TRUE(at::equal(before.integers.slice(0, 0, 128), after.integers.slice(0, 0, 128)));
  EXPECT_TRUE(at::equal(before.integers.slice(0, 256), after.integers.slice(0, 256)));
  EXPECT_FALSE(at::equal(before.scales.slice(0, 128, 256), after.scales.slice(0, 128, 256)));
}

TEST(Quantize, TiesGoToEven) {
  const at::Tensor x = at::tensor({127.0F, 0.5F, 1.5F, 2.5F, -0.5F, -1.5F, -126.5F}).view({1, 7});
  const at::Tensor integers = quantize_queries(x, recipe_from("int8", at::kCPU)).integers;
  EXPECT_TRUE(at::equal(integers, at::tensor({127, 0, 2, 2, 0, -2, -126}).to(at::kChar).view({1, 7}))) << integers;
}

TEST(QuantizeValues, GivesIntegersPerChannel) {
  const at::Tensor x = sample();
  for (const char* text : {"int8", "int8+smooth-v=off"}) {
    const Recipe recipe = recipe_from(text, at::kCPU);
    const QuantizedValues v = quantize_values(x, recipe);
    const at::Tensor smoothed = recipe.smooth_v == Smoothing::on ? less_its_mean(x, sample_tokens) : x;
    std::int64_t wrong = 0;
    for (std::int64_t c = 0; c < sample_dim; ++c) {
      float largest = 0;
      for (std::int64_t i = 0; i < sample_tokens; ++i) largest = std::max(largest, std::fabs(at_of(smoothed, i, c)));
      const float inverse = 127.0F / largest;
      wrong += v.scales.const_data_ptr<float>()[c] != largest / 127.0F ? 1 : 0;
      for (std::int64_t i = 0; i < sample_tokens; ++i) {
        wrong += at_of(v.values, i, c) != std::nearbyintf(at_of(smoothed, i, c) * inverse) ? 1 : 0;
      }
    }
    EXPECT_EQ(wrong, 0) << text;
  }
}

// Whatever the numbers, equal weights give the mean of the values, and nothing else of the quantization changes.
TEST(QuantizeValues, GetAnExactMeanBack) {
  const at::Tensor x = sample();
  const at::Tensor mean = x.to(at::kDouble).mean(0);
  for (const char* text : {"int8", "int8+smooth-v=off", "sage1-t", "sage2-8b", "sage2-8b+smooth-v"}) {
    const QuantizedValues plain = quantize_values(x, recipe_from(text, at::kCPU));
    const QuantizedValues v = quantize_values(x, recipe_from(std::string(text) + "+v-mean=exact", at::kCPU));
    EXPECT_TRUE(at::equal(v.values, plain.values) && at::equal(v.scales, plain.scales)) << text;
    const auto of_equal_weights = [](const QuantizedValues& quantized) {
      return quantized.values.to(at::kDouble).mean(0) * quantized.scales + quantized.mean;
    };
    EXPECT_LE(largest_difference(of_equal_weights(v), mean), 1e-6) << text;  // fp32's rounding of means
    EXPECT_GE(largest_difference(of_equal_weights(plain), mean), 3e-6) << text << " has an error to mend";
  }
}

// Of values 0 to 15 and 128 to 143 with room above, unless one of the others is larger than that.
TEST(QuantizeValues, HaveScalesOfASample) {
  at::Tensor x = normal({200, 3}, 9);
  x[130][0] = -5;
  x[50][1] = 16.5F * at::cat({x.select(1, 1).slice(0, 0, 16), x.select(1, 1).slice(0, 128, 144)}).abs().max();
  x.select(1, 2).slice(0, 0, 16).zero_();
  x.select(1, 2).slice(0, 128, 144).zero_();
  const QuantizedValues v = quantize_values(x, recipe_from("sage2-8b+v-scale=sampled", at::kCPU));
  EXPECT_EQ(v.scales[0].item<float>(), 16 * 5.0F / 448);
  for (const int c : {1, 2}) EXPECT_EQ(v.scales[c].item<float>(), x.select(1, c).abs().max().item<float>() / 448) << c;
  EXPECT_TRUE(at::equal(v.values, round_to_e4m3(x * (448 / (v.scales * 448)))));
  const QuantizedValues of_all = quantize_values(x, recipe_from("sage2-8b", at::kCPU));
  const auto error = [&](const QuantizedValues& quantized) {
    return (quantized.values * quantized.scales - x).select(1, 0).norm().item<double>();
  };
  EXPECT_NEAR(error(v), error(of_all), 0.2 * error(of_all)) << "a float's precision does not depend on the scale";
}

TEST(QuantizeValues, HaveScalesThatArePowersOfTwoInFp16) {
  for (const char* text : {"sage1-t", "sage1-t+pv=fp16+key-block=256"}) {
    const Recipe recipe = recipe_from(text, at::kCPU);
    for (int exponent = -90; exponent <= 120; exponent += 7) {
      const at::Tensor x = at::tensor({1.0F, 1.25F, -1.999F, 0.37F}).view({2, 2}) * std::ldexp(1.0F, exponent);
      const QuantizedValues v = quantize_values(x, recipe);
      for (const float scale : {v.scales[0].item<float>(), v.scales[1].item<float>()}) {
        int ignored = 0;
        EXPECT_EQ(std::frexp(scale, &ignored), 0.5F) << scale;
      }
      const at::Tensor sums = v.values.abs().amax(0) * recipe.key_block;
      EXPECT_TRUE((sums > 1 << 14).logical_and(sums <= (1 << 15) + 16).all().item<bool>()) << sums;
      EXPECT_TRUE(at::allclose(v.values * v.scales, x, 5e-4, 0)) << text << " 2^" << exponent;
    }
  }
}

TEST(RoundToE4m3, GivesTheNearestOfItsNumbers) {
  // Three bits after the first, exponents from -6, below that steps of 2^-9.
  std::vector<double> numbers;
  numbers.reserve(128);
  for (int mantissa = 0; mantissa < 8; ++mantissa) numbers.push_back(std::ldexp(mantissa, -9));
  for (int exponent = -6; exponent <= 8; ++exponent) {
    for (int mantissa = 0; mantissa < 8; ++mantissa) numbers.push_back(std::ldexp(8 + mantissa, exponent - 3));
  }
  numbers.pop_back();  // 480 stands for NaN
  EXPECT_EQ(numbers.back(), 448);
  for (std::size_t i = 0; i + 1 < numbers.size(); ++i) {
    const double low = numbers[i], high = numbers[i + 1], middle = (low + high) / 2;
    const double even = i % 2 == 0 ? low : high;
    const at::Tensor x =
        at::tensor({low, low + (middle - low) * 0.99, middle, middle + (high - middle) * 0.01, -high}, at::kDouble);
    EXPECT_TRUE(at::equal(round_to_e4m3(x), at::tensor({low, low, even, high, -high}, at::kDouble))) << low;
  }
  EXPECT_EQ(round_to_e4m3(at::tensor({1e30, 460.0, -1e9}, at::kDouble)).abs().min().item<double>(), 448);
}

TEST(QuantizeValues, UseAllOfE4m3) {
  const QuantizedValues v = quantize_values(sample(), recipe_from("sage2-8b", at::kCPU));
  EXPECT_TRUE(at::equal(v.values.abs().amax(0), at::full({sample_dim}, 448.0F)));
  EXPECT_TRUE(at::equal(round_to_e4m3(v.values), v.values));
}

}  // namespace
}  // namespace bitreel
