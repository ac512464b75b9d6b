#include "pipelines/quality/paired_test.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>

#include "base/statistics.h"

namespace bitreel::quality {
namespace {

constexpr std::size_t most_exact = 40;

struct Ranks {
  std::vector<int> doubled;  // twice the rank of each size, so that shared ranks are whole numbers
  int doubled_positive = 0;  // their sum over the positive differences
  double ties = 0;           // sum of t^3 - t over groups of equal sizes
};

Ranks ranks_of(std::vector<double> differences) {
  std::ranges::sort(differences, {}, [](double x) { return std::abs(x); });
  Ranks ranks;
  for (std::size_t begin = 0, end = 0; begin < differences.size(); begin = end) {
    for (end = begin; end < differences.size() && std::abs(differences[end]) == std::abs(differences[begin]);) ++end;
    const int doubled = static_cast<int>(begin + end + 1);  // of ranks begin + 1 to end
    for (std::size_t i = begin; i < end; ++i) {
      ranks.doubled.push_back(doubled);
      if (differences[i] > 0) ranks.doubled_positive += doubled;
    }
    const auto size = static_cast<double>(end - begin);
    ranks.ties += size * size * size - size;
  }
  return ranks;
}

// The share of all signs under which the smaller sum of ranks would be at most `sum`; doubled for both sides.
double exact_p(const Ranks& ranks, int sum) {
  const int total = std::accumulate(ranks.doubled.begin(), ranks.doubled.end(), 0);
  std::vector<double> ways(static_cast<std::size_t>(total) + 1, 0.0);
  ways[0] = 1;
  for (const int rank : ranks.doubled) {
    for (int s = total; s >= rank; --s) ways[static_cast<std::size_t>(s)] += ways[static_cast<std::size_t>(s - rank)];
  }
  const double tail = std::accumulate(ways.begin(), ways.begin() + sum + 1, 0.0);
  return std::min(1.0, 2 * tail / std::exp2(static_cast<double>(ranks.doubled.size())));
}

double normal_p(const Ranks& ranks, double smaller) {
  const auto n = static_cast<double>(ranks.doubled.size());
  const double variance = n * (n + 1) * (2 * n + 1) / 24 - ranks.ties / 48;
  if (variance <= 0) return 1;
  const double z = std::max(0.0, n * (n + 1) / 4 - smaller - 0.5) / std::sqrt(variance);
  return std::erfc(z / std::sqrt(2.0));
}

}  // namespace

PairedTest wilcoxon(const std::vector<double>& differences) {
  PairedTest test;
  if (differences.empty()) return test;
  test.median_difference = median(differences);
  std::vector<double> differing;
  std::ranges::copy_if(differences, std::back_inserter(differing), [](double x) { return x != 0; });
  test.n = static_cast<int>(differing.size());
  if (differing.empty()) return test;
  const Ranks ranks = ranks_of(std::move(differing));
  const int total = std::accumulate(ranks.doubled.begin(), ranks.doubled.end(), 0);
  const int smaller = std::min(ranks.doubled_positive, total - ranks.doubled_positive);
  test.p = ranks.doubled.size() <= most_exact ? exact_p(ranks, smaller) : normal_p(ranks, smaller / 2.0);
  return test;
}

}  // namespace bitreel::quality
