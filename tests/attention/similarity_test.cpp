#include "attention/similarity.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/error_text.h"

namespace bitreel {
namespace {

TEST(Similarity, IsThatOfTheFormulas) {
  const at::Tensor expected = at::tensor({3.0, 4.0, 0.0, -5.0}).view({2, 2});
  const at::Tensor actual = at::tensor({3.5, 4.0, 1.0, -5.0}).view({2, 2});
  const Similarity close = similarity(expected, actual);
  const double product = 3 * 3.5 + 16 + 25, norms = std::sqrt(50.0 * (3.5 * 3.5 + 16 + 1 + 25));
  EXPECT_NEAR(close.cosine, product / norms, 1e-15);
  EXPECT_NEAR(close.relative_l1, 1.5 / 12, 1e-15);
  EXPECT_NEAR(close.relative_l2, std::sqrt(1.25 / 50), 1e-15);
  EXPECT_NEAR(close.rmse, std::sqrt(1.25 / 4), 1e-15);
  EXPECT_NEAR(close.worst_row, 1.0 / 5, 1e-15) << "the second row's";
  EXPECT_NEAR(close.score(), close.cosine * (1 - 0.125), 1e-15);
}

TEST(Similarity, OfATensorWithItselfIsWhole) {
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16}) {
    const at::Tensor x = at::arange(24, dtype).view({2, 3, 4}) - 5;
    const Similarity same = similarity(x, x.to(at::kDouble));
    EXPECT_NEAR(same.cosine, 1, 1e-15);
    EXPECT_EQ(same.relative_l1 + same.relative_l2 + same.rmse + same.worst_row, 0);
  }
}

TEST(Similarity, OfZerosIsWholeOnlyWithZeros) {
  const at::Tensor zeros = at::zeros({2, 2}), ones = at::ones({2, 2});
  EXPECT_EQ(similarity(zeros, zeros).cosine, 1);
  EXPECT_EQ(similarity(zeros, zeros).relative_l2, 0);
  EXPECT_EQ(similarity(zeros, ones).cosine, 0);
  EXPECT_EQ(similarity(zeros, ones).relative_l1, std::numeric_limits<double>::infinity());
  EXPECT_EQ(similarity(zeros, ones).worst_row, std::numeric_limits<double>::infinity());
  EXPECT_EQ(similarity(ones, zeros).relative_l2, 1);
}

TEST(Similarity, OfWhatIsNotFiniteFailsEveryComparison) {
  at::Tensor broken = at::ones({2, 2});
  broken[1][1] = std::numeric_limits<double>::quiet_NaN();
  const Similarity worthless = similarity(at::ones({2, 2}), broken);
  EXPECT_FALSE(worthless.cosine >= 0.998);
  EXPECT_FALSE(worthless.relative_l2 <= 0.06);
  EXPECT_TRUE(std::isnan(worthless.score()));
}

TEST(Similarity, ComparesOneShape) {
  EXPECT_THAT(error_text([] {
                (void)similarity(at::ones({2, 3}), at::ones({3, 2}));
              }),
              testing::HasSubstr("[2, 3] and [3, 2]"));
  EXPECT_THAT(error_text([] {
                (void)similarity(at::ones({0, 3}), at::ones({0, 3}));
              }),
              testing::HasSubstr("not empty"));
}

}  // namespace
}  // namespace bitreel
