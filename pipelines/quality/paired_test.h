// Whether pairs differ by more than chance: Wilcoxon's signed-rank test, two-sided.
//
//   const PairedTest test = wilcoxon({0.4, -0.1, 0.3, 0.6, 0.2, 0.5});   // one difference for each pair
//   test.p;                                                              // 0.0625
//
// Wilcoxon 1945, Biometrics Bulletin 1 (6). Pairs without a difference are left out; equal ones share their ranks. Up
// to 40 pairs p is exact, of all signs that the ranks could have had; beyond, the normal approximation with its
// corrections for ties and continuity. With n pairs p is at least 2^(1 - n): five pairs can't reach 0.05.
#pragma once

#include <vector>

namespace bitreel::quality {

struct PairedTest {
  int n = 0;                     // pairs that differ
  double median_difference = 0;  // of all pairs
  double p = 1;
};

PairedTest wilcoxon(const std::vector<double>& differences);

}  // namespace bitreel::quality
