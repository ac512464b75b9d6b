#include "attention/recipes.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/attention/calls.h"
#include "tests/error_text.h"

namespace bitreel {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(Recipe, OfEveryQuantizedPrecisionIsItsOwnOnEveryDevice) {
  for (const at::DeviceType device : {at::kCPU, at::kCUDA}) {
    for (const Precision precision : all_precisions()) {
      if (precision == Precision::full) continue;
      const Recipe& recipe = recipe_of(precision, device);
      EXPECT_EQ(recipe.precision, precision);
      EXPECT_EQ(recipe.qk == QkFormat::int4, bits_of(precision) == 4) << name_of(precision);
      EXPECT_THAT(text_of(recipe), testing::StartsWith(std::string(name_of(precision))));
      EXPECT_EQ(recipe_from(name_of(precision), device), recipe);
      check(recipe);
    }
  }
  EXPECT_THAT(error_text([] { (void)recipe_of(Precision::full, at::kCPU); }), HasSubstr("full"));
  EXPECT_THAT(error_text([] { (void)recipe_of(Precision::int8, at::kXLA); }),
              HasSubstr("int8 precision has no recipe on xla"));
}

TEST(Recipe, OfTheProjectsPrecisionsDependsOnTheDevice) {
  for (const Precision precision : {Precision::int8, Precision::int4}) {
    const Recipe gpu = recipe_of(precision, at::kCUDA);
    EXPECT_EQ(recipe_of(precision, at::kCPU).pv, PvFormat::int8);
    EXPECT_EQ(gpu.pv, PvFormat::fp8_ones_row);
    EXPECT_EQ(gpu.k_scales, Granularity::warpgroup);
    EXPECT_EQ(gpu.v_mean, ValueMean::exact);
    EXPECT_EQ(gpu.v_scale, ValueScale::sampled);
    EXPECT_EQ(gpu.smooth_q, Smoothing::off) << "what Hopper's kernel does";
    EXPECT_EQ(text_of(gpu), std::string(name_of(precision)) + "@cuda");
    EXPECT_EQ(recipe_from(text_of(gpu), at::kCPU), gpu) << "a text that names the device means the same on all";
  }
  EXPECT_EQ(recipe_of(Precision::sage2_8b, at::kCPU), recipe_of(Precision::sage2_8b, at::kCUDA)) << "the paper's";
}

// 2410.02367 table 6, 2411.10958 sections 3.1 to 3.3.
TEST(Recipe, OfTheSagePresetsIsThePapers) {
  const Recipe t = recipe_of(Precision::sage1_t, at::kCPU), vb = recipe_of(Precision::sage1_vb, at::kCPU);
  const Recipe eight = recipe_of(Precision::sage2_8b, at::kCPU), four = recipe_of(Precision::sage2_4b, at::kCPU);
  EXPECT_EQ(t.q_scales, Granularity::token);
  EXPECT_EQ(t.k_scales, Granularity::token);
  EXPECT_EQ(t.pv, PvFormat::fp16_fp16_sum);
  EXPECT_EQ(recipe_of(Precision::sage1_b, at::kCPU), recipe_from("sage1-b+scales=block", at::kCPU));
  EXPECT_EQ(vb.q_scales, Granularity::block);
  EXPECT_EQ(vb.pv, PvFormat::int8);
  EXPECT_EQ(vb.p_levels, 127);
  EXPECT_EQ(recipe_of(Precision::sage1_vt, at::kCPU).q_scales, Granularity::token);
  EXPECT_EQ(eight.q_scales, Granularity::thread);
  EXPECT_EQ(eight.pv, PvFormat::fp8_two_level);
  EXPECT_EQ(eight.smooth_q, Smoothing::off) << "8 bits need it not";
  EXPECT_EQ(four.smooth_q, Smoothing::on);
  for (const Recipe& recipe : {t, vb, eight, four}) {
    EXPECT_EQ(recipe.smooth_k, Smoothing::on);
    EXPECT_EQ(recipe.maximum, Maximum::running);
    EXPECT_EQ(recipe.exponential, Exponential::exact);
    EXPECT_EQ(recipe.key_block, 64);
  }
}

TEST(Recipe, IsReadBackFromItsText) {
  for (const std::string& text : recipe_texts()) {
    const Recipe recipe = recipe_from(text, at::kCPU);
    EXPECT_EQ(recipe_from(text_of(recipe), at::kCPU), recipe) << text;
  }
  EXPECT_EQ(text_of(recipe_from("sage2-8b+smooth-v+pv=fp8-ones-row", at::kCPU)), "sage2-8b+smooth-v+pv=fp8-ones-row");
  EXPECT_EQ(text_of(recipe_from("int8+scales=block", at::kCPU)), "int8@cpu+q-scales=block+k-scales=block");
  EXPECT_EQ(text_of(recipe_from("int8+p-levels=127+key-block=64", at::kCPU)), "int8@cpu+p-levels=127+key-block=64");
  EXPECT_EQ(text_of(recipe_from("int8+smooth-k=off", at::kCPU)), "int8@cpu+smooth-k=off");
  EXPECT_EQ(text_of(recipe_from("int8+p-levels=255", at::kCPU)), "int8@cpu") << "its own value is no difference";
}

TEST(Recipe, FieldsGoWhereTheyAreNamed) {
  const Recipe recipe = recipe_from(
      "sage2-8b+qk=int4+q-scales=warp+k-scales=strip+smooth-q+smooth-k=off+smooth-v=on+v-mean=exact+pv=fp16+maximum="
      "block",
      at::kCPU);
  EXPECT_EQ(recipe.precision, Precision::sage2_8b);
  EXPECT_EQ(recipe.qk, QkFormat::int4);
  EXPECT_EQ(recipe.q_scales, Granularity::warp);
  EXPECT_EQ(recipe.k_scales, Granularity::strip);
  EXPECT_EQ(recipe.smooth_q, Smoothing::on);
  EXPECT_EQ(recipe.smooth_k, Smoothing::off);
  EXPECT_EQ(recipe.smooth_v, Smoothing::on);
  EXPECT_EQ(recipe.v_mean, ValueMean::exact);
  EXPECT_EQ(recipe.pv, PvFormat::fp16);
  EXPECT_EQ(recipe.maximum, Maximum::block);
  EXPECT_EQ(recipe.key_block, 64);
}

TEST(Recipe, SaysWhichPartOfItsTextIsWrong) {
  struct Wrong {
    std::string text, part, hint;
  };
  const Wrong wrongs[] = {
      {"int9", "\"int9\"", "did you mean int8?"},
      {"", "\"\"", "it is one of int8"},
      {"full", "full precision has none", ""},
      {"int8@cpus", "\"int8@cpus\"", "did you mean int8@cpu?"},
      {"sage2-8b@cuda", "\"sage2-8b@cuda\"", ""},
      {"int8+channel-group=8", "channel-group is \"8\"", "0, 16, 32"},
      {"int8+smoth-v", "\"smoth-v\"", "did you mean smooth-v?"},
      {"int8+", "\"\"", "scales"},
      {"int8+scales=tokens", "is \"tokens\"", "did you mean token?"},
      {"int8+q-scales", "q-scales is \"on\"", "block, warp, thread, token, strip"},
      {"int8+key-block=100", "key-block is \"100\"", "64, 128, 256"},
      {"int8+p-levels=254", "p-levels is \"254\"", "did you mean 255?"},
      {"int8+smooth-v=", "smooth-v is \"\"", "off, on"},
      {"int8+v-mean", "v-mean is \"on\"", "subtracted, exact"},
      {"int8+pv=fp16", "exponential=table", "+exponential=exact"},
  };
  for (const auto& [text, part, hint] : wrongs) {
    EXPECT_THAT(error_text<UsageError>([&, &text = text] { (void)recipe_from(text, at::kCPU); }),
                AllOf(HasSubstr("recipe"), HasSubstr(part), HasSubstr(hint)))
        << text;
  }
}

TEST(Recipe, MadeByHandIsChecked) {
  Recipe recipe = recipe_of(Precision::int8, at::kCPU);
  recipe.key_block = 96;
  EXPECT_THAT(error_text<UsageError>([&] { check(recipe); }),
              HasSubstr("key-block is 96, expected one of 64, 128, 256"));
  recipe = recipe_of(Precision::sage1_vt, at::kCPU);
  recipe.p_levels = 100;
  EXPECT_THAT(error_text<UsageError>([&] { check(recipe); }), HasSubstr("p-levels is 100"));
}

}  // namespace
}  // namespace bitreel
