// Adding up what a model's modules hold and compute, for its Cost.
//
//   Tally tally;
//   tally.product(1536, 6144, 1105);      // a linear map of 1105 tokens
//   tally.holds(2 * 1536);                // a norm
//   const double bytes = 2 * tally.parameters, flop = tally.flop;
#pragma once

#include <cstdint>

#include "pipelines/layers/modules.h"
#include "pipelines/model/run_options.h"

namespace bitreel {

inline double real(std::int64_t count) {
  return static_cast<double>(count);
}

struct Tally {
  double parameters = 0;
  double flop = 0;

  // A linear map or convolution: `in` numbers make each of `out` at every one of `rows` positions.
  void product(std::int64_t in, std::int64_t out, double rows, Bias bias = Bias::present) {
    parameters += real(in * out) + (bias == Bias::present ? real(out) : 0);
    flop += 2 * real(in * out) * rows;
  }
  void holds(std::int64_t numbers) { parameters += real(numbers); }
};

// On a CPU in bf16 a denoiser's matrices are packed for oneDNN: a copy beside the mapped file.
inline double weight_copies(const RunOptions& options) {
  return options.device.is_cpu() && options.dtype == at::kBFloat16 ? 2 : 1;
}

}  // namespace bitreel
