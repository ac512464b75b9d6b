#include "app/pace.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <functional>

#include "attention/attention.h"

namespace bitreel {
namespace {

// Rows that are timed: enough to keep a core busy, few enough to take no time.
constexpr std::int64_t product_rows = 256;
constexpr std::int64_t query_rows = 512;  // of one head: keys are packed once for all of them

// Matrix products of a block: q, k, v, the output's projection, and twice the feed-forward's four widths.
constexpr double products_in_a_block = 12;

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

double seconds_per_step(const Render& render) {
  const TransformerConfig& model = render.config.transformer;
  const Geometry geometry = geometry_of(render.request, render.config);
  const std::int64_t tokens = geometry.text_tokens + geometry.video_tokens, width = model.inner_dim();
  const double passes = render.request.guidance_scale > 1 ? 2 : 1;
  const at::TensorOptions options(render.model.dtype);

  // One thread's pace is shared out over all: a run that waits for its sisters on a busy core measures the waiting.
  const int threads = at::get_num_threads();
  const OneThread while_timed;
  const at::Tensor rows = at::randn({product_rows, width}, options), weight = at::randn({width, width}, options);
  const double product = seconds_of([&] { at::linear(rows, weight); }) / static_cast<double>(product_rows);

  const at::Tensor keys = at::randn({1, 1, tokens, model.attention_head_dim}, options);
  const at::Tensor queries = keys.narrow(2, 0, std::min(tokens, query_rows));
  const double attention = seconds_of([&] { attend(queries, keys, keys); }) *
                           static_cast<double>(model.num_attention_heads) / static_cast<double>(queries.size(2));
  const double per_token = products_in_a_block * product + attention;
  return static_cast<double>(model.num_layers) * passes * static_cast<double>(tokens) * per_token * other_work /
         static_cast<double>(threads);
}

}  // namespace bitreel
