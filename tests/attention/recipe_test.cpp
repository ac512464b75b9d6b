#include "attention/recipe.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/attention/calls.h"
#include "tests/error_text.h"

namespace bitreel {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(Recipe, OfEveryQuantizedPrecisionIsItsOwn) {
  for (const Precision precision : all_precisions()) {
    if (precision == Precision::full) continue;
    const Recipe& recipe = recipe_of(precision);
    EXPECT_EQ(recipe.precision, precision);
    EXPECT_EQ(recipe.qk == QkFormat::int4, level_of(precision) == Level::four_bit) << name_of(precision);
    EXPECT_EQ(text_of(recipe), name_of(precision));
    EXPECT_EQ(recipe_from(name_of(precision)), recipe);
    check(recipe);
  }
  EXPECT_THAT(error_text([] { (void)recipe_of(Precision::full); }), HasSubstr("full"));
}

// 2410.02367 table 6, 2411.10958 sections 3.1 to 3.3.
TEST(Recipe, OfTheSagePresetsIsThePapers) {
  const Recipe t = recipe_of(Precision::sage1_t), vb = recipe_of(Precision::sage1_vb);
  const Recipe eight = recipe_of(Precision::sage2_8b), four = recipe_of(Precision::sage2_4b);
  EXPECT_EQ(t.q_scales, Granularity::token);
  EXPECT_EQ(t.k_scales, Granularity::token);
  EXPECT_EQ(t.pv, PvFormat::fp16_fp16_sum);
  EXPECT_EQ(recipe_of(Precision::sage1_b), recipe_from("sage1-b+scales=block"));
  EXPECT_EQ(vb.q_scales, Granularity::block);
  EXPECT_EQ(vb.pv, PvFormat::int8);
  EXPECT_EQ(vb.p_levels, 127);
  EXPECT_EQ(recipe_of(Precision::sage1_vt).q_scales, Granularity::token);
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
    const Recipe recipe = recipe_from(text);
    EXPECT_EQ(recipe_from(text_of(recipe)), recipe) << text;
  }
  EXPECT_EQ(text_of(recipe_from("sage2-8b+smooth-v+pv=fp8-ones-row")), "sage2-8b+smooth-v+pv=fp8-ones-row");
  EXPECT_EQ(text_of(recipe_from("int8+scales=block")), "int8+q-scales=block+k-scales=block");
  EXPECT_EQ(text_of(recipe_from("int8+p-levels=127+key-block=64")), "int8+p-levels=127+key-block=64");
  EXPECT_EQ(text_of(recipe_from("int8+smooth-k=off")), "int8+smooth-k=off");
  EXPECT_EQ(text_of(recipe_from("int8+p-levels=255")), "int8") << "its own value is no difference";
}

TEST(Recipe, FieldsGoWhereTheyAreNamed) {
  const Recipe recipe = recipe_from(
      "sage2-8b+qk=int4+q-scales=warp+k-scales=strip+smooth-q+smooth-k=off+smooth-v=on+pv=fp16+maximum=block");
  EXPECT_EQ(recipe.precision, Precision::sage2_8b);
  EXPECT_EQ(recipe.qk, QkFormat::int4);
  EXPECT_EQ(recipe.q_scales, Granularity::warp);
  EXPECT_EQ(recipe.k_scales, Granularity::strip);
  EXPECT_EQ(recipe.smooth_q, Smoothing::on);
  EXPECT_EQ(recipe.smooth_k, Smoothing::off);
  EXPECT_EQ(recipe.smooth_v, Smoothing::on);
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
      {"int8+smoth-v", "\"smoth-v\"", "did you mean smooth-v?"},
      {"int8+", "\"\"", "scales"},
      {"int8+scales=tokens", "is \"tokens\"", "did you mean token?"},
      {"int8+q-scales", "q-scales is \"on\"", "block, warp, thread, token, strip"},
      {"int8+key-block=100", "key-block is \"100\"", "64, 128, 256"},
      {"int8+p-levels=254", "p-levels is \"254\"", "did you mean 255?"},
      {"int8+smooth-v=", "smooth-v is \"\"", "off, on"},
      {"int8+pv=fp16", "exponential=table", "+exponential=exact"},
  };
  for (const auto& [text, part, hint] : wrongs) {
    EXPECT_THAT(error_text<UsageError>([&, &text = text] { (void)recipe_from(text); }),
                AllOf(HasSubstr("recipe"), HasSubstr(part), HasSubstr(hint)))
        << text;
  }
}

TEST(Recipe, MadeByHandIsChecked) {
  Recipe recipe = recipe_of(Precision::int8);
  recipe.key_block = 96;
  EXPECT_THAT(error_text<UsageError>([&] { check(recipe); }),
              HasSubstr("key-block is 96, expected one of 64, 128, 256"));
  recipe = recipe_of(Precision::sage1_vt);
  recipe.p_levels = 100;
  EXPECT_THAT(error_text<UsageError>([&] { check(recipe); }), HasSubstr("p-levels is 100"));
}

}  // namespace
}  // namespace bitreel
