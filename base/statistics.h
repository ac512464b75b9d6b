// What some values are together: their mean, their middle, how far they spread. All of at least one value.
//
//   median({0.9, 1.0, 7.0});      // 1.0: what one slow call does not move
//   mean({0.9, 1.0, 7.1});        // 3.0
//   deviation({1.0, 2.0, 3.0});   // 1.0: standard, of a sample (divided by n - 1); 0 of a single value
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace bitreel {

// Of an even number of values the mean of the two in the middle.
inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

inline double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

inline double deviation(const std::vector<double>& values) {
  if (values.size() < 2) return 0;
  const double middle = mean(values);
  double squares = 0;
  for (const double value : values) squares += (value - middle) * (value - middle);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

}  // namespace bitreel
