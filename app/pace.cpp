#include "app/pace.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <ctime>
#include <functional>
#include <limits>
#include <set>

#include "attention/attention.h"
#include "pipelines/layers/modules.h"

namespace bitreel {
namespace {

// Rows that are timed: enough to keep a core busy, few enough to take no time.
constexpr std::int64_t product_rows = 256;
constexpr std::int64_t least_query_rows = 512;  // of one head: its keys are packed or quantized once for all of them
constexpr double most_attention_flop = 1.5e9;   // beyond, queries are left out

// Everything that is neither a matrix product nor attention, as a share of both in full precision (a profile of the
// default model).
constexpr double other_work = 0.2;

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

// Of this thread alone: what other programs take of the core does not count.
double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// The fastest of several runs after one that loads and packs.
double thread_seconds_of(const std::function<void()>& work) {
  constexpr double enough = 0.05;
  work();
  double fastest = std::numeric_limits<double>::max(), spent = 0;
  for (int run = 0; run < 3 || spent < enough; ++run) {
    const double begun = thread_seconds();
    work();
    const double taken = thread_seconds() - begun;
    fastest = std::min(fastest, taken);
    spent += taken;
  }
  return fastest;
}

std::int64_t query_rows(const AttentionShape& shape) {
  const double affordable =
      most_attention_flop / attention_flop({.queries = 1, .keys = shape.keys, .head_dim = shape.head_dim});
  return std::min(shape.queries, std::max(least_query_rows, static_cast<std::int64_t>(affordable)));
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
  const at::Tensor rows = at::randn({product_rows, width}, tensors);
  Linear layer;
  layer.weight = at::randn({width, width}, tensors);
  layer.pack(options.linear);
  const double flop = 2.0 * static_cast<double>(product_rows) * static_cast<double>(width * width);
  Pace pace{.seconds_a_product_flop = thread_seconds_of([&] { layer(rows); }) / flop / threads,
            .attention_seconds = {}};

  const at::Tensor keys = at::randn({1, 1, shape.keys, shape.head_dim}, tensors);
  const at::Tensor queries = at::randn({1, 1, query_rows(shape), shape.head_dim}, tensors);
  const double slices = static_cast<double>(shape.batch * shape.heads) * static_cast<double>(shape.queries) /
                        static_cast<double>(queries.size(2));
  std::set<Precision> precisions(options.precisions.begin(), options.precisions.end());
  precisions.insert(Precision::full);  // other work is counted by it
  for (const Precision precision : precisions) {
    const double slice = thread_seconds_of(
        [&] { attend(queries, keys, keys, {.precision = precision, .backend = options.backends.of(precision)}); });
    pace.attention_seconds[precision] = slice * slices / threads;
  }
  return pace;
}

double denoise_seconds(const Cost& cost, const Pace& pace, const Plan& plan, std::int64_t steps_done) {
  const double products = cost.denoise.product_flop * pace.seconds_a_product_flop;
  const double in_full = static_cast<double>(cost.layers) * pace.attention_seconds.at(Precision::full);
  const std::vector<PrecisionRow>& rows = plan.rows();
  double seconds = 0;
  for (auto step = static_cast<std::size_t>(steps_done); step < rows.size() * static_cast<std::size_t>(cost.rounds);
       ++step) {
    seconds += products + other_work * (products + in_full);
    for (const Precision precision : rows[step % rows.size()]) seconds += pace.attention_seconds.at(precision);
  }
  return seconds;
}

}  // namespace bitreel
