// Every backend with every recipe on every kind of call: against the oracle of the recipe, and the formula in fp64.
// New entries of backends() are tested by being there.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "attention/registry.h"
#include "attention/similarity.h"
#include "tests/attention/calls.h"
#include "tests/attention/tolerances.h"

namespace bitreel {
namespace {

struct Case {
  std::string name;
  Shape shape;
  at::ScalarType dtype = at::kFloat;
  Causality causality = Causality::none;
  double counting_keys = 1;
};

constexpr Causality causal = Causality::bottom_right;

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"OneOfEach", {.queries = 1, .keys = 1}},
      {"Fifteen", {.query_heads = 2, .key_heads = 2, .queries = 15, .keys = 15, .dim = 128}, at::kBFloat16},
      {"SixtyThree", {.batch = 2, .queries = 63, .keys = 63}},
      {"SixtyFive", {.queries = 65, .keys = 65, .dim = 80}, at::kHalf},
      {"OneBelowABlock", {.queries = 127, .keys = 127}},
      {"OneBeyondABlock", {.queries = 129, .keys = 129, .dim = 128}},
      {"TextAndVideo", {.queries = 226 + 40, .keys = 226 + 40}, at::kBFloat16},
      {"UniDiffusersTail", {.queries = 1105, .keys = 1105}, at::kBFloat16},  // eight blocks of 128, and 81
      {"BlocksOfKeys", {.queries = 48, .keys = 600, .dim = 128}},
      {"OneQuery", {.query_heads = 2, .key_heads = 2, .queries = 1, .keys = 257}},
      {"OneKey", {.queries = 130, .keys = 1}},
      {"OneChannel", {.queries = 20, .keys = 40, .dim = 1}},
      {"OddChannels", {.queries = 33, .keys = 70, .dim = 37}},
      {"GroupedQueries", {.batch = 2, .query_heads = 6, .key_heads = 2, .queries = 20, .keys = 90}},
      {"Causal", {.query_heads = 2, .key_heads = 2, .queries = 200, .keys = 200}, at::kFloat, causal},
      {"CausalWithMoreKeys", {.queries = 70, .keys = 331}, at::kBFloat16, causal},
      {"CausalWithMoreQueries", {.queries = 331, .keys = 70}, at::kFloat, causal},
      {"Masked",
       {.batch = 3, .query_heads = 2, .key_heads = 1, .queries = 40, .keys = 300},
       at::kFloat,
       Causality::none,
       0.6},
      {"MaskedAndCausal", {.batch = 2, .queries = 150, .keys = 170, .dim = 128}, at::kHalf, causal, 0.7},
      {"NearlyAllMasked", {.queries = 5, .keys = 200}, at::kFloat, Causality::none, 0.01},
  };
  return all;
}

class Backends : public testing::TestWithParam<Case> {
 protected:
  const Case& given = GetParam();
  Inputs in = random_inputs(given.shape, 11, given.dtype);
  Asked asked = {.causality = given.causality,
                 .key_mask = given.counting_keys < 1 ? random_mask(in, given.counting_keys, 5) : at::Tensor()};
  Answer truth = run(backend_named("reference"), in, asked);
};

TEST_P(Backends, AgreeWithTheFormulaInFullPrecision) {
  const auto able = those_that_can(call_of(in, asked));
  ASSERT_GE(able.size(), 2U) << "LibTorch and the reference itself";
  for (const Backend* backend : able) {
    const Answer answer = run(*backend, in, asked);
    EXPECT_LE(largest_difference(answer.out, truth.out), full_precision(given.dtype)) << backend->name;
    EXPECT_LE(largest_difference(answer.log_sum_exp, truth.log_sum_exp), log_sum_exp) << backend->name;
  }
}

TEST_P(Backends, DoTheArithmeticOfEveryRecipe) {
  for (const std::string& text : recipe_texts()) {
    asked.recipe = recipe_from(text, test_device().type());
    const Quality gate = quality_of(asked.recipe->precision);
    const Answer oracle = run(backend_named("emulated"), in, asked);
    const Similarity close = similarity(truth.out, oracle.out);
    EXPECT_GE(close.cosine, gate.least_cosine) << text;
    EXPECT_LE(close.relative_l2, gate.relative_l2) << text;
    EXPECT_LE(largest_difference(oracle.log_sum_exp, truth.log_sum_exp),
              log_sum_exp_of_quantized(asked.recipe->precision))
        << text;
    for (const Backend* backend : those_that_can(call_of(in, asked))) {
      EXPECT_TRUE(same_arithmetic(*backend, in, oracle, run(*backend, in, asked))) << backend->name << " " << text;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Calls, Backends, testing::ValuesIn(cases()), [](const auto& info) { return info.param.name; });

TEST(BackendTable, HasAKernelForEveryRecipeOfIntegersOnTheCpu) {
  const Inputs in = cpu_inputs({}, 1);
  for (const std::string& text : recipe_texts()) {
    const Recipe recipe = recipe_from(text, at::kCPU);
    if (recipe.pv != PvFormat::int8 || recipe.channel_group != 0) continue;
    if (recipe.v_mean == ValueMean::exact) continue;  // for long sequences, which are GPUs' work
    const auto able = those_that_can(call_of(in, {.recipe = recipe}));
    EXPECT_TRUE(std::ranges::any_of(able, [](const Backend* b) { return b->role == Role::kernel; })) << text;
  }
}

TEST(BackendTable, RefusesWhatItCanNotDoAndSaysWhy) {
  const Inputs in = random_inputs({}, 1), wide = random_inputs({}, 1, at::kDouble);
  const Recipe recipe = recipe_of(Precision::int8, test_device().type());
  for (const Backend& backend : backends()) {
    if (!backend.missing(test_device().type()).empty()) continue;
    const bool quantizes = backend.arithmetic == Arithmetic::quantized;
    EXPECT_EQ(backend.refuses(call_of(in, {.recipe = recipe})).empty(), quantizes) << backend.name;
    EXPECT_EQ(backend.refuses(call_of(in, {})).empty(), !quantizes) << backend.name;
    if (!quantizes) continue;
    EXPECT_NE(backend.refuses(call_of(in, {.recipe = recipe, .bias = at::zeros({64, 64})})), "") << backend.name;
    EXPECT_NE(backend.refuses(call_of(wide, {.recipe = recipe})), "") << backend.name;
  }
}

}  // namespace
}  // namespace bitreel
