#include "pipelines/quality/paired_test.h"

#include <gmock/gmock.h>

namespace bitreel::quality {
namespace {

using testing::DoubleNear;

TEST(PairedTest, CountsTheSignsThatAreAsExtreme) {
  const PairedTest test = wilcoxon({0.4, -0.1, 0.3, 0.6, 0.2, 0.5});
  EXPECT_EQ(test.n, 6);
  EXPECT_DOUBLE_EQ(test.p, 4.0 / 64);
  EXPECT_DOUBLE_EQ(test.median_difference, 0.35);
}

// Hollander & Wolfe 1973, page 29: Hamilton depression scale of nine patients; V = 40.
TEST(PairedTest, AgreesWithAPublishedExample) {
  const std::vector<double> before = {1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30};
  const std::vector<double> after = {0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29};
  std::vector<double> differences;
  for (std::size_t i = 0; i < before.size(); ++i) differences.push_back(before[i] - after[i]);
  EXPECT_THAT(wilcoxon(differences).p, DoubleNear(0.0390625, 1e-12));
}

TEST(PairedTest, DirectionDoesNotMatterToP) {
  const std::vector<double> differences = {3, 1, -2, 5, 4, 7, -6};
  std::vector<double> turned = differences;
  for (double& d : turned) d = -d;
  EXPECT_DOUBLE_EQ(wilcoxon(differences).p, wilcoxon(turned).p);
  EXPECT_DOUBLE_EQ(wilcoxon(differences).median_difference, -wilcoxon(turned).median_difference);
}

TEST(PairedTest, TiesShareRanksAndZerosDoNotCount) {
  // Sizes 1, 1, 2: ranks 1.5, 1.5, 3; the smaller sum is 1.5, reached by the signs {}, {1.5}, {1.5}: 3 of 8, twice.
  const PairedTest test = wilcoxon({1, -1, 0, 2});
  EXPECT_EQ(test.n, 3);
  EXPECT_DOUBLE_EQ(test.p, 6.0 / 8);
}

TEST(PairedTest, NothingThatDiffersIsNoEvidence) {
  EXPECT_DOUBLE_EQ(wilcoxon({}).p, 1);
  EXPECT_DOUBLE_EQ(wilcoxon({0, 0, 0}).p, 1);
}

TEST(PairedTest, TheApproximationMeetsTheExactTest) {
  std::vector<double> differences;
  for (int i = 1; i <= 40; ++i) differences.push_back(i % 4 == 0 ? -i : i);
  const double exact = wilcoxon(differences).p;
  differences.push_back(-1e-6);  // 41 pairs: approximated, and hardly another question
  EXPECT_THAT(wilcoxon(differences).p, DoubleNear(exact, 0.15 * exact + 0.002));
}

}  // namespace
}  // namespace bitreel::quality
