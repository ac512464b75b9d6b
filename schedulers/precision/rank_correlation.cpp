#include "schedulers/precision/rank_correlation.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/error.h"

namespace bitreel {
namespace {

std::vector<double> scores_of(const Measurement& measurement, Precision precision) {
  std::vector<double> scores;
  for (const std::int64_t step : measurement.design().steps) {
    for (const std::int64_t layer : measurement.design().layers) {
      scores.push_back(measurement.cell({.layer = layer, .step = step, .precision = precision}).score.mean);
    }
  }
  return scores;
}

std::vector<double> ranks_of(const std::vector<double>& values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::sort(order, {}, [&](std::size_t i) { return values[i]; });
  std::vector<double> ranks(values.size());
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin + 1;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    for (std::size_t i = begin; i < end; ++i) ranks[order[i]] = static_cast<double>(begin + end - 1) / 2;
    begin = end;
  }
  return ranks;
}

}  // namespace

double rank_correlation(const Measurement& a, const Measurement& b, Precision precision) {
  if (a.design().made_for != b.design().made_for || a.design().layers != b.design().layers ||
      a.design().steps != b.design().steps) {
    throw Error("the two measurements are of other models, schedulers, layers or steps: their cells can't be compared");
  }
  const std::vector<double> x = ranks_of(scores_of(a, precision)), y = ranks_of(scores_of(b, precision));
  const double middle = static_cast<double>(x.size() - 1) / 2;
  double xy = 0, xx = 0, yy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - middle) * (y[i] - middle);
    xx += (x[i] - middle) * (x[i] - middle);
    yy += (y[i] - middle) * (y[i] - middle);
  }
  return xy / std::sqrt(xx * yy);
}

}  // namespace bitreel
