// Adding up what a model's modules hold and compute, for its Cost.
//
//   Tally tally;
//   tally.product(1536, 6144, 1105);      // a linear map of 1105 tokens
//   tally.holds(1536 + 1536);             // a norm
//   const double bytes = 2 * tally.parameters, flop = tally.flop;
#pragma once

#include <cstdint>
#include <vector>

#include "pipelines/layers/modules.h"
#include "pipelines/model/cost.h"
#include "pipelines/model/run_options.h"

namespace bitreel {

inline double real(std::int64_t count) {
  return static_cast<double>(count);
}

// Whether GELU is read and written as a pass of its own.
enum class GeluPass { own, in_a_product };

class Tally {
 public:
  double parameters = 0;
  double flop = 0;

  // A linear map or convolution: `in` numbers make each of `out` at every one of `rows` positions.
  void product(std::int64_t in, std::int64_t out, double rows, Bias bias = Bias::present) {
    parameters += real(in * out) + (bias == Bias::present ? real(out) : 0);
    flop += 2 * real(in * out) * rows;
  }
  // The same as part of a kind of work.
  void product(const char* work, std::int64_t in, std::int64_t out, double rows, Bias bias = Bias::present) {
    convolution(work, 1, in, out, rows, bias);
  }
  // Likewise, from `taps` positions around each.
  void convolution(const char* work, std::int64_t taps, std::int64_t in, std::int64_t out, double positions,
                   Bias bias = Bias::present) {
    product(taps * in, out, positions, bias);
    of(work).flop += 2 * real(taps * in * out) * positions;
    if (positions > 0) numbers_moved(work, real(taps * in * out) + positions * real(in + out));
  }
  // q k^T and P V of one layer, which `flop` leaves out.
  void attention(double passes, double tokens, std::int64_t dim) {
    of("attention").flop += 4 * passes * tokens * tokens * real(dim);
    numbers_moved("attention", 4 * passes * tokens * real(dim));
  }
  // Work that is no product: so many numbers are read and written.
  void numbers_moved(const char* work, double numbers) { of(work).bytes += numbers; }
  void holds(std::int64_t numbers) { parameters += real(numbers); }

  // In bytes, for numbers of this size.
  [[nodiscard]] std::vector<Work> works(double bytes_each) const {
    std::vector<Work> all = works_;
    for (Work& work : all) work.bytes *= bytes_each;
    return all;
  }

 private:
  Work& of(const char* name) {
    for (Work& work : works_) {
      if (work.name == name) return work;
    }
    return works_.emplace_back(Work{.name = name});
  }

  std::vector<Work> works_;  // bytes: not yet, but numbers
};

// On a CPU in bf16 a denoiser's matrices are packed for oneDNN or for us: a copy beside the mapped file.
inline double weight_copies(const RunOptions& options) {
  return options.device.is_cpu() && options.dtype == at::kBFloat16 ? 2 : 1;
}

}  // namespace bitreel
