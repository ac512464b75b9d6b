#include "app/pace.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <functional>

#include "attention/attention.h"

namespace bitreel {
namespace {

// Rows that are timed: enough to keep a core busy, few enough to take no time.
constexpr std::int64_t product_rows = 256;
constexpr std::int64_t query_rows = 512;  // of one head: keys are packed once for all of them

// Everything that is neither a matrix product nor attention, as a share of both (a profile of the default model).
constexpr double other_work = 1.2;

// While it lives, LibTorch works on one thread.
class OneThread {
 public:
  OneThread() { at::set_num_threads(1); }
  ~OneThread() { at::set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  const int before_ = at::get_num_threads();
};

// The fastest of several runs after one that loads and packs: other programs' work should not count.
double seconds_of(const std::function<void()>& work) {
  using Clock = std::chrono::steady_clock;
  using Seconds = std::chrono::duration<double>;
  constexpr Seconds enough(0.05);
  work();
  Seconds fastest = Seconds::max(), spent(0);
  for (int run = 0; run < 3 || spent < enough; ++run) {
    const Clock::time_point begin = Clock::now();
    work();
    const Seconds taken = Clock::now() - begin;
    fastest = std::min(fastest, taken);
    spent += taken;
  }
  return fastest.count();
}

}  // namespace

Pace measure_pace(const Cost& cost, const PaceOptions& options) {
  const c10::InferenceMode no_gradients;
  const AttentionShape& shape = cost.attention;
  const at::TensorOptions tensors(options.dtype);

  // One thread's pace is shared out over all: a run that waits for its sisters on a busy core measures the waiting.
  const auto threads = static_cast<double>(at::get_num_threads());
  const OneThread while_timed;
  const std::int64_t width = shape.heads * shape.head_dim;
  const at::Tensor rows = at::randn({product_rows, width}, tensors), weight = at::randn({width, width}, tensors);
  const double flop = 2.0 * static_cast<double>(product_rows) * static_cast<double>(width * width);
  Pace pace{.seconds_a_product_flop = seconds_of([&] { at::linear(rows, weight); }) / flop / threads,
            .attention_seconds = {}};

  const at::Tensor keys = at::randn({1, 1, shape.keys, shape.head_dim}, tensors);
  const at::Tensor queries = keys.narrow(2, 0, std::min(shape.keys, query_rows));
  const double slices = static_cast<double>(shape.batch * shape.heads) * static_cast<double>(shape.queries) /
                        static_cast<double>(queries.size(2));
  for (const Precision precision : options.precisions) {
    const double slice = seconds_of(
        [&] { attend(queries, keys, keys, {.precision = precision, .backend = options.backends.of(precision)}); });
    pace.attention_seconds[precision] = slice * slices / threads;
  }
  return pace;
}

double denoise_seconds(const Cost& cost, const Pace& pace, const Plan& plan, std::int64_t steps_done) {
  double seconds = 0;
  for (std::size_t step = static_cast<std::size_t>(steps_done); step < plan.rows().size(); ++step) {
    seconds += cost.denoise.product_flop * pace.seconds_a_product_flop;
    for (const Precision precision : plan.rows()[step]) seconds += pace.attention_seconds.at(precision);
  }
  return seconds * other_work;
}

}  // namespace bitreel
