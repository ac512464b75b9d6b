// The front door: what attend() makes of layouts and options, whom it asks, and what it refuses. The numbers behind it
// are tested over the table of backends; here, the formula by hand.
#include "attention/attention.h"
#include "attention/registry.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <vector>

#include "tests/attention/calls.h"
#include "tests/attention/tolerances.h"
#include "tests/error_text.h"

namespace bitreel {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(AttendReference, IsTheSoftmaxWeightedMeanOfTheValues) {
  const auto fp64 = at::TensorOptions(at::kDouble);
  const at::Tensor q = at::tensor({1.0, 2.0}, fp64).view({1, 1, 1, 2});
  const at::Tensor k = at::tensor({1.0, 0.0, 0.0, 1.0}, fp64).view({1, 1, 2, 2});
  const at::Tensor v = at::tensor({10.0, 0.0, 0.0, 20.0}, fp64).view({1, 1, 2, 2});
  const at::Tensor bias = at::tensor({0.25, 0.0}, fp64).view({1, 2});
  const double first = std::exp(0.5 * 1.0 + 0.25), second = std::exp(0.5 * 2.0);
  at::Tensor log_sum_exp;
  const at::Tensor out =
      attend(q, k, v, {.backend = "reference", .scale = 0.5, .bias = bias, .log_sum_exp = &log_sum_exp}).flatten();
  EXPECT_NEAR(out[0].item<double>(), 10 * first / (first + second), 1e-14);
  EXPECT_NEAR(out[1].item<double>(), 20 * second / (first + second), 1e-14);
  EXPECT_NEAR(log_sum_exp.item<double>(), std::log(first + second), 1e-6);
}

TEST(AttendReference, LetsTheLastQuerySeeAllKeysWhenCausal) {
  const at::Tensor q = at::zeros({1, 1, 2, 1}), k = at::zeros({1, 1, 4, 1});
  const at::Tensor v = at::tensor({1.0F, 2.0F, 3.0F, 10.0F}).view({1, 1, 4, 1});
  const at::Tensor out = attend(q, k, v, {.backend = "reference", .causality = Causality::bottom_right}).flatten();
  EXPECT_EQ(out[0].item<float>(), 2) << "the mean of the first three";
  EXPECT_EQ(out[1].item<float>(), 4) << "of all";
}

struct Way {
  std::string name;
  AttendOptions options;
};

std::vector<Way> ways() {
  return {{"full", {}},
          {"int8", {.precision = Precision::int8}},
          {"recipe", {.recipe = recipe_from("int8+scales=token", test_device().type())}}};
}

TEST(Attend, TakesTokensFirstAndGivesThemBack) {
  const Inputs in = random_inputs({.batch = 2, .query_heads = 4, .key_heads = 2, .queries = 33, .keys = 70}, 1);
  const auto swapped = [](const at::Tensor& x) { return x.transpose(1, 2).contiguous(); };
  for (const Way& way : ways()) {
    AttendOptions tokens_first = way.options;
    tokens_first.layout = Layout::tokens_first;
    const at::Tensor expected = attend(in.q, in.k, in.v, way.options);
    const at::Tensor out = attend(swapped(in.q), swapped(in.k), swapped(in.v), tokens_first);
    ASSERT_EQ(out.sizes().vec(), (std::vector<std::int64_t>{2, 33, 4, 64})) << way.name;
    EXPECT_LE(largest_difference(out.transpose(1, 2), expected), way.name == "full" ? 1e-6 : 0) << way.name;
  }
}

TEST(Attend, GivesTheInputsDtype) {
  for (const at::ScalarType dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
    const Inputs in = random_inputs({}, 2, dtype);
    for (const Way& way : ways()) EXPECT_EQ(attend(in.q, in.k, in.v, way.options).scalar_type(), dtype) << way.name;
  }
  const Inputs wide = random_inputs({}, 2, at::kDouble);
  EXPECT_LE(largest_difference(attend(wide.q, wide.k, wide.v), run(backend_named("reference"), wide, {}).out),
            full_precision(at::kDouble));
}

TEST(Attend, RunsThePrecisionsOwnRecipeUnlessGivenOne) {
  const Inputs in = random_inputs({.queries = 20, .keys = 100}, 3);
  for (const Precision precision : all_precisions()) {
    if (precision == Precision::full) continue;
    const at::Tensor expected =
        run(backend_named("emulated"), in, {.recipe = recipe_of(precision, test_device().type())}).out;
    EXPECT_TRUE(at::equal(attend(in.q, in.k, in.v, {.precision = precision, .backend = "emulated"}), expected))
        << name_of(precision);
  }
  const Recipe given = recipe_from("sage1-t+pv=fp16", test_device().type());
  EXPECT_TRUE(
      at::equal(attend(in.q, in.k, in.v, {.precision = Precision::int4, .recipe = given, .backend = "emulated"}),
                run(backend_named("emulated"), in, {.recipe = given}).out));
}

// Sets a variable of the environment and puts back what was there.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* const old = std::getenv(name)) before_ = old;
    ::setenv(name, value, 1);
  }
  ~Variable() { before_ ? ::setenv(name_, before_->c_str(), 1) : ::unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

// The first for full precision, and LibTorch's for what that refuses.
std::string_view first_kernel(const Inputs& in) {
  return backend_named("cpu-flash").missing(at::kCPU).empty() && in.q.is_cpu() ? "cpu-flash" : "sdpa";
}

TEST(ChooseBackend, TakesAKernelBeforeAnOracle) {
  const Inputs in = random_inputs({}, 4);
  const Recipe recipe = recipe_from("sage1-vb", test_device().type());
  const auto chosen = [](const AttendCall& call, std::string_view wanted = {}) {
    return choose_backend(call, wanted).backend;
  };
  EXPECT_EQ(chosen(call_of(in, {})).name, first_kernel(in));
  EXPECT_EQ(chosen(call_of(in, {.bias = at::zeros({64, 64})})).name, "sdpa");
  EXPECT_EQ(chosen(call_of(random_inputs({.dim = 129}, 4), {})).name, "sdpa");
  EXPECT_EQ(chosen(call_of(random_inputs({}, 4, at::kDouble), {})).name, "sdpa");
  if (in.q.is_cpu()) {
    EXPECT_EQ(chosen(call_of(in, {.recipe = recipe})).role, Role::kernel);
  }
  EXPECT_EQ(chosen(call_of(in, {.recipe = recipe}), "emulated").name, "emulated");
}

// What is slower for a call is not refused: by name it does it.
TEST(ChooseBackend, PrefersWithoutRefusing) {
  const Inputs in = cpu_inputs({.queries = 70, .keys = 130}, 4, at::kBFloat16);
  const Backend& flash = backend_named("cpu-flash");
  if (!flash.missing(at::kCPU).empty()) GTEST_SKIP() << flash.missing(at::kCPU);
  const AttendCall call = call_of(in, {});
  EXPECT_EQ(choose_backend(call).backend.name, flash.preference(call) < 0 ? "sdpa" : "cpu-flash");
  EXPECT_EQ(choose_backend(call, "cpu-flash").backend.name, "cpu-flash");
  EXPECT_LE(largest_difference(attend(in.q, in.k, in.v, {.backend = "cpu-flash"}),
                               run(backend_named("reference"), in, {}).out),
            full_precision(at::kBFloat16));
}

TEST(ChooseBackend, NamesWhatItDoesNotKnowAndWhyNoneCan) {
  const Inputs in = random_inputs({}, 4), wide = random_inputs({}, 4, at::kDouble);
  EXPECT_THAT(error_text<UsageError>([&] { (void)choose_backend(call_of(in, {}), "emulatd"); }),
              AllOf(HasSubstr("\"emulatd\""), HasSubstr("did you mean emulated?")));
  const AttendCall of_doubles = call_of(wide, {.recipe = recipe_of(Precision::int8, test_device().type())});
  EXPECT_THAT(error_text([&] { (void)choose_backend(of_doubles); }),
              AllOf(HasSubstr("no attention backend"), HasSubstr("emulated:"), HasSubstr("cpu-scalar:")));
  EXPECT_THAT(error_text([&] { (void)choose_backend(of_doubles, "cpu-scalar"); }), HasSubstr("cpu-scalar can't"));
}

TEST(ChooseBackend, DoesNotTakeANameForTheOtherArithmetic) {
  const Inputs in = random_inputs({}, 4);
  const auto text = [&](const AttendOptions& options) {
    return error_text<UsageError>([&] { (void)attend(in.q, in.k, in.v, options); });
  };
  EXPECT_THAT(text({.precision = Precision::int8, .backend = "reference"}),
              AllOf(HasSubstr("reference does full precision, this call is of quantized attention"),
                    HasSubstr("cpu-scalar, emulated")));
  EXPECT_THAT(text({.backend = "emulated"}),
              AllOf(HasSubstr("does quantized attention"), HasSubstr("sdpa, reference")));
}

TEST(BackendNames, AreOneForEachArithmetic) {
  EXPECT_EQ(backends_from("reference").full, "reference");
  EXPECT_EQ(backends_from("reference").quantized, "");
  const BackendNames both = backends_from("cpu-scalar,reference");
  EXPECT_EQ(both.of(Precision::full), "reference");
  EXPECT_EQ(both.of(Precision::sage1_vb), "cpu-scalar");
  const auto text = [](const char* names) {
    return error_text<UsageError>([&] { (void)backends_from(names, "--flag"); });
  };
  EXPECT_THAT(text("emulatd"), AllOf(HasSubstr("--flag"), HasSubstr("did you mean emulated?")));
  EXPECT_THAT(text("sdpa,reference"), AllOf(HasSubstr("--flag: sdpa and reference"), HasSubstr("both do full")));
  EXPECT_THAT(text("sdpa,"), HasSubstr("\"\""));
}

TEST(BackendNames, AreTheEnvironmentsWhereNoneIsGiven) {
  const Variable variable("BITREEL_ATTENTION_BACKEND", "emulated");
  EXPECT_EQ(backends_from("").quantized, "emulated");
  EXPECT_EQ(backends_from("").full, "");
  EXPECT_EQ(backends_from("cpu-scalar").quantized, "cpu-scalar") << "who gives one knows better";
  const Variable wrong("BITREEL_ATTENTION_BACKEND", "emulatd");
  EXPECT_THAT(error_text<UsageError>([] { (void)backends_from(""); }),
              HasSubstr("BITREEL_ATTENTION_BACKEND: there is no"));
  const Inputs in = random_inputs({}, 4);
  EXPECT_TRUE(attend(in.q, in.k, in.v).defined()) << "attend() itself does not ask the environment";
}

TEST(BackendNames, MustBeOfUse) {
  const std::vector<Precision> eight = {Precision::int8}, mixed = {Precision::int8, Precision::full};
  backends_from("emulated").check_used_by(eight);
  backends_from("reference").check_used_by(mixed);
  backends_from("reference,emulated").check_used_by(mixed);
  EXPECT_THAT(error_text<UsageError>([&] { backends_from("reference").check_used_by(eight); }),
              AllOf(HasSubstr("`attention_backend`: reference does full precision, of which this run has none"),
                    HasSubstr("quantized attention is done by"), HasSubstr("emulated")));
}

TEST(AttendReport, TellsWhatRanAndOnceThatAnOracleStoodIn) {
  std::vector<std::string> messages;
  AttendReport report([&](const std::string& message) { messages.push_back(message); });
  const Inputs in = random_inputs({}, 5, at::kFloat);
  const Recipe without_kernel = recipe_from("int8@cuda+channel-group=0+pv=fp16+scales=warp", at::kCPU);
  const auto attended = [&](AttendOptions options) {
    options.report = &report;
    (void)attend(in.q, in.k, in.v, options);
  };
  attended({});
  attended({.recipe = without_kernel});
  attended({.recipe = without_kernel});
  attended({.precision = Precision::sage2_8b, .backend = "emulated"});
  ASSERT_EQ(report.rows().size(), 3U);
  EXPECT_EQ(report.rows()[0].precision, Precision::full);
  EXPECT_EQ(report.rows()[0].recipe, std::nullopt);
  EXPECT_EQ(report.rows()[0].backend, first_kernel(in));
  EXPECT_EQ(report.rows()[1].precision, Precision::int8);
  EXPECT_EQ(report.rows()[1].recipe, without_kernel);
  EXPECT_EQ(report.rows()[1].calls, 2);
  EXPECT_EQ(report.rows()[2].backend, "emulated");
  EXPECT_EQ(report.rows()[2].fallback, "") << "it was asked for";
  if (!in.q.is_cpu()) GTEST_SKIP() << "what GPU kernels refuse is theirs to say";
  EXPECT_EQ(report.rows()[1].fallback, "its P V product is INT8 only");
  EXPECT_THAT(messages, testing::ElementsAre(AllOf(HasSubstr("int8@cuda+q-scales=warp"), HasSubstr("INT8 only"),
                                                   HasSubstr("the slow backend emulated does"))));
}

TEST(AttendErrors, NameAllThreeShapesAndDtypes) {
  const auto tensor = [](at::IntArrayRef sizes) { return at::ones(sizes); };
  const at::Tensor good = tensor({1, 2, 3, 8});
  const Inputs wrongs[] = {
      {good[0], good, good},                               // no batch
      {good, good, tensor({1, 2, 4, 8})},                  // fewer keys than values
      {good, tensor({1, 2, 3, 4}), tensor({1, 2, 3, 4})},  // another dim
      {tensor({2, 2, 3, 8}), good, good},                  // another batch
      {tensor({1, 3, 3, 8}), good, good},                  // heads that do not divide
      {good, good.to(at::kDouble), good},                  // k's dtype
      {good, good, good.to(at::kHalf)},                    // v's dtype
      {good.to(at::kInt), good.to(at::kInt), good.to(at::kInt)},
  };
  for (const Inputs& wrong : wrongs) {
    EXPECT_THAT(error_text([&] { (void)attend(wrong.q, wrong.k, wrong.v); }),
                AllOf(HasSubstr("attend: q ["), HasSubstr("expected q [B, Hq, Nq, D]")));
  }
  EXPECT_THAT(error_text([&] { (void)attend(good, good, good.to(at::kHalf)); }), HasSubstr("v [1, 2, 3, 8] Half"));
}

TEST(AttendErrors, SayWhatIsWrongWithAnOption) {
  const at::Tensor x = at::ones({2, 2, 4, 8});
  const auto text = [&](const AttendOptions& options) { return error_text([&] { (void)attend(x, x, x, options); }); };
  EXPECT_THAT(text({.key_mask = at::ones({2, 3}).to(at::kBool)}), HasSubstr("key_mask [2, 3]"));
  EXPECT_THAT(text({.key_mask = at::ones({2, 4})}), HasSubstr("expected [2, 4] bool"));
  EXPECT_THAT(text({.precision = Precision::int8, .bias = at::zeros({4, 4})}), HasSubstr("bias"));
  EXPECT_THAT(text({.bias = at::zeros({4, 3})}), AllOf(HasSubstr("bias [4, 3] Float"), HasSubstr("[2, 2, 4, 4]")));
  EXPECT_THAT(text({.bias = at::zeros({3, 1, 4, 4})}), HasSubstr("bias [3, 1, 4, 4]"));
  EXPECT_THAT(text({.bias = at::zeros({1, 2, 2, 4, 4})}), HasSubstr("bias [1, 2, 2, 4, 4]"));
  EXPECT_THAT(text({.bias = at::zeros({4, 4}, at::kInt)}), HasSubstr("floating numbers"));
  Recipe odd_blocks = recipe_of(Precision::int8, test_device().type());
  odd_blocks.key_block = 96;
  EXPECT_THAT(error_text<UsageError>([&] { (void)attend(x, x, x, {.recipe = odd_blocks}); }), HasSubstr("key-block"));
  const at::Tensor strided = at::ones({2, 2, 8, 4}).transpose(2, 3);
  EXPECT_THAT(error_text([&] { (void)attend(strided, strided, strided); }), HasSubstr("last stride of 4, expected 1"));
}

TEST(AttendErrors, SayWhatNormsHaveToBe) {
  const at::Tensor x = at::ones({2, 2, 6, 8}), ones = at::ones({8}), angles = at::ones({4, 4});
  const HeadNorms::Norm norm = {.weight = ones, .bias = ones, .eps = 1e-6};
  const HeadNorms good = {.q = norm, .k = norm, .cos = angles, .sin = angles, .first_rotated = 2};
  EXPECT_FALSE(attend_before_norms(x, x, x, good, {}));
  const auto expect_error = [&](const at::Tensor& k, const HeadNorms& norms) {
    EXPECT_THAT(error_text([&] { (void)attend_before_norms(x, k, k, norms, {}); }),
                AllOf(HasSubstr("q [2, 2, 6, 8] Float"), HasSubstr("angles [6 - ")));
  };
  expect_error(at::ones({2, 2, 5, 8}), good);
  HeadNorms wrong = good;
  wrong.k.weight = ones.to(at::kHalf);
  expect_error(x, wrong);
  wrong = good;
  wrong.q.bias = at::Tensor();
  expect_error(x, wrong);
  wrong = good;
  wrong.first_rotated = 3;
  expect_error(x, wrong);
  wrong = good;
  wrong.sin = at::Tensor();
  expect_error(x, wrong);
}

TEST(AttentionNames, AreThoseOfTheCommandLine) {
  for (const Precision precision : all_precisions()) EXPECT_EQ(precision_from(name_of(precision)), precision);
  EXPECT_EQ(precision_from("sage2-4b"), Precision::sage2_4b);
  EXPECT_EQ(precision_from("half"), std::nullopt);
  EXPECT_EQ(all_precisions().front(), Precision::full);
  EXPECT_EQ(bits_of(Precision::full), full_bits);
  EXPECT_EQ(bits_of(Precision::sage1_vb), 8);
}

}  // namespace
}  // namespace bitreel
