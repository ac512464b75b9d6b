// What quantization costs: every preset on the protocol's inputs against the formula in fp64, and every kernel against
// the oracle on the same. Published and simulated figures that the oracle has to reproduce.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "attention/registry.h"
#include "attention/similarity.h"
#include "attention/torch/quantize.h"
#include "tests/attention/protocol.h"
#include "tests/attention/tolerances.h"

namespace bitreel {
namespace {

Similarity quality(const std::string& recipe, const Inputs& in) {
  return similarity(run(backend_named("reference"), in, {}).out,
                    run(backend_named("emulated"), in, {.recipe = recipe_from(recipe, test_device().type())}).out);
}

class Accuracy : public testing::TestWithParam<InputSet> {
 protected:
  const Inputs in = on_test_device(GetParam().in);
};

TEST_P(Accuracy, OfEightBitsIsWithinTheGate) {
  for (const Precision precision : all_precisions()) {
    if (bits_of(precision) != 8) continue;
    const Quality gate = GetParam().hardness == Hardness::usual ? quality_of(precision) : eight_bits_beyond;
    const Similarity close = quality(std::string(name_of(precision)), in);
    EXPECT_GE(close.cosine, gate.least_cosine) << name_of(precision);
    EXPECT_LE(close.relative_l2, gate.relative_l2) << name_of(precision);
  }
}

TEST_P(Accuracy, OfTheOnesRowIsThatOfTwoLevels) {
  const double two_level = quality("sage2-8b", in).relative_l2;
  EXPECT_LE(quality("sage2-8b+pv=fp8-ones-row", in).relative_l2, 1.1 * two_level);
}

TEST_P(Accuracy, OfKernelsIsThatOfTheOracle) {
  for (const char* text :
       {"int8", "int4", "sage1-t", "sage1-b", "sage1-vt", "sage1-vb", "sage2-8b", "sage2-4b", "int8+scales=block",
        "int8+scales=thread", "int8+smooth-k=off+smooth-v=off", "int8+v-mean=subtracted"}) {
    const Asked asked = {.recipe = recipe_from(text, test_device().type())};
    const Answer oracle = run(backend_named("emulated"), in, asked);
    for (const Backend* backend : those_that_can(call_of(in, asked))) {
      if (backend->role == Role::oracle) continue;
      EXPECT_TRUE(same_arithmetic(*backend, in, oracle, run(*backend, in, asked))) << backend->name << " " << text;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Inputs, Accuracy, testing::ValuesIn(protocol_inputs()),
                         [](const auto& info) { return info.param.name; });

Inputs inputs_named(const std::string& name) {
  for (const InputSet& set : protocol_inputs()) {
    if (set.name == name) return on_test_device(set.in);
  }
  throw std::out_of_range(name);
}

TEST(AccuracyOf, FourBitsIsWithinItsGateAtLogitDeviationOne) {
  for (const char* text : {"int4", "sage2-4b"}) {
    const Similarity close = quality(text, inputs_named("LogitDeviation1"));
    EXPECT_GE(close.cosine, four_bits.least_cosine) << text;
    EXPECT_LE(close.relative_l2, four_bits.relative_l2) << text;
  }
}

TEST(AccuracyOf, BiasedKeysNeedsSmoothing) {
  const Inputs in = inputs_named("BiasedKeys");
  EXPECT_GE(quality("int8+smooth-k=off", in).relative_l2, 1.5 * quality("int8", in).relative_l2);
  EXPECT_GE(quality("int4+smooth-k=off", in).relative_l2, 2 * quality("int4", in).relative_l2);
}

TEST(AccuracyOf, BiasedQueriesInFourBitsNeedsSmoothing) {
  Inputs in = inputs_named("LogitDeviation1");
  in.q = in.q + 5 * normal({in.q.size(3)}, 40).to(in.q.device());
  EXPECT_GE(quality("int4+smooth-q=off", in).relative_l2, 1.5 * quality("int4+smooth-q", in).relative_l2);
}

TEST(AccuracyOf, BiasedValuesNeedsSmoothing) {
  const Inputs in = inputs_named("BiasedValues");
  EXPECT_GE(quality("sage2-8b", in).relative_l2, 4 * quality("sage2-8b+smooth-v", in).relative_l2);
}

// At CogVideoX-2b's length, where outputs average thousands of values: SageAttention2 has 0.038 there.
TEST(AccuracyOf, LongSequencesGainsByAnExactMeanOfV) {
  Inputs in = random_inputs({.queries = 128, .keys = 17776}, 60, at::kBFloat16);
  in.k.add_(2 * normal({in.k.size(3)}, 61).to(in.k.device(), at::kBFloat16));
  const double plain = quality("int8@cuda+v-mean=subtracted", in).relative_l2;
  const double exact = quality("int8@cuda", in).relative_l2;
  EXPECT_LE(exact, 0.036);  // measured
  EXPECT_LE(exact, 0.95 * plain) << plain;
}

TEST(AccuracyOf, EqualKeysIsTheMeanOfTheValues) {
  const Inputs in = inputs_named("EqualKeys");
  for (const std::string& text : recipe_texts()) {
    const Asked asked = {.recipe = recipe_from(text, test_device().type())};
    if (asked.recipe->pv == PvFormat::fp16_fp16_sum) continue;  // its sums are rounded
    const QuantizedValues v = quantize_values(in.v[0][0], *asked.recipe);
    const at::Tensor expected = v.values.to(at::kDouble).mean(0) * v.scales + v.mean;
    for (const Backend* backend : those_that_can(call_of(in, asked))) {
      EXPECT_LE(largest_difference(run(*backend, in, asked).out, expected.expand_as(in.q)),
                mean_of_values(backend->name))
          << backend->name << " " << text;
    }
  }
}

// A simulation written apart from the oracle, with groups of another GPU's tiles: 16384 keys of 64 channels.
struct Simulated {
  std::string recipe;
  double relative_l2[4];  // of the inputs below
};

const std::vector<Simulated>& simulated() {
  static const std::vector<Simulated> all = {
      {"sage1-t+scales=thread+pv=fp16", {0.010, 0.025, 0.022, 0.038}},
      {"sage2-4b+smooth-q=off+pv=fp16", {0.185, 0.410, 0.426, 0.562}},
      {"sage2-8b", {0.037, 0.037, 0.032, 0.046}},
      {"int8@cpu+scales=thread+exponential=exact+key-block=128", {0.015, 0.027, 0.025, 0.039}},
  };
  return all;
}

// Wide logits leave a few keys to each query: few samples, so that seeds differ by a third.
constexpr double spread[4] = {0.1, 0.35, 0.35, 0.35};

TEST(AccuracyOf, TheOracleIsThatOfAnIndependentSimulation) {
  const double widths[4] = {1, 3, 2, 8};
  for (int set = 0; set < 4; ++set) {
    Inputs in = random_inputs({.queries = 128, .keys = 16384}, 50 + static_cast<std::uint64_t>(set));
    in.q *= widths[set];
    if (set == 2) {
      for (std::int64_t c = 0; c < 4; ++c) in.k.select(3, c).mul_(2).add_(c % 2 == 0 ? -8 : 8);
      in.q.slice(3, 0, 4).mul_(2).add_(3);
      in.v += 0.2;
    }
    const at::Tensor truth = run(backend_named("reference"), in, {}).out;
    for (const Simulated& expected : simulated()) {
      const Answer answer =
          run(backend_named("emulated"), in, {.recipe = recipe_from(expected.recipe, test_device().type())});
      EXPECT_NEAR(similarity(truth, answer.out).relative_l2 / expected.relative_l2[set], 1, spread[set])
          << expected.recipe << ", logit deviation " << widths[set];
    }
  }
}

}  // namespace
}  // namespace bitreel
