#include "pipelines/model/planned_attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <optional>

#include "attention/attention.h"
#include "base/wall_clock.h"
#include "pipelines/model/wait_for.h"

namespace bitreel {

PlannedAttention::PlannedAttention(const Plan& plan, PlannedAttentionOptions options, PlanProgress before)
    : plan_(plan), options_(std::move(options)), executed_(std::move(before.executed)) {
  if (options_.guard) guard_.emplace(plan_, *options_.guard, std::move(before.events));
}

LayerAttention PlannedAttention::operator()(const DenoisingStep& step) {
  executed_.push_back(guard_ ? guard_->row(step.index) : plan_.row(step.timestep));
  const PrecisionRow& row = executed_.back();
  LayerAttention attention = [this, index = step.index, row](std::int64_t layer, const at::Tensor& q,
                                                             const at::Tensor& k, const at::Tensor& v) {
    const Precision precision = row.at(static_cast<std::size_t>(layer));
    at::Tensor out = attend_timed(
        q, k, v, {.precision = precision, .backend = options_.backends.of(precision), .report = options_.report});
    if (guard_ && precision != Precision::full && guard_->due(index)) look(index, layer, q, k, v, out);
    return out;
  };
  const bool looks_at_results = options_.times != nullptr || (guard_ && guard_->due(step.index));
  if (looks_at_results) return attention;
  attention.before_norms = [this, row](std::int64_t layer, const at::Tensor& q, const at::Tensor& k,
                                       const at::Tensor& v, const HeadNorms& norms) -> std::optional<at::Tensor> {
    const Precision precision = row.at(static_cast<std::size_t>(layer));
    if (precision == Precision::full) return std::nullopt;
    return attend_before_norms(
        q, k, v, norms,
        {.precision = precision, .backend = options_.backends.of(precision), .report = options_.report});
  };
  attention.repeats.emplace();
  for (const Precision precision : row) attention.repeats->append(name_of(precision)).append(" ");
  attention.repeated = [this, row] {
    for (const Precision precision : row) {
      if (options_.report != nullptr) options_.report->repeat(precision);
    }
  };
  return attention;
}

at::Tensor PlannedAttention::attend_timed(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                          AttendOptions call) const {
  if (options_.times == nullptr) return attend(q, k, v, call);
  double quantizing = 0;
  call.quantization_seconds = &quantizing;
  wait_for(q.device());
  const WallClock::time_point begun = WallClock::now();
  at::Tensor out = attend(q, k, v, call);
  wait_for(q.device());
  options_.times->seconds += seconds_since(begun);
  options_.times->quantize_seconds += quantizing;
  return out;
}

// A look takes about so many queries, evenly spaced: enough to tell errors apart, and all of a head would cost more
// than the rest of the guard together.
constexpr std::int64_t queries_of_look = 256;

// Heads of all batch entries are numbered through, so that guidance's branches take turns too.
void PlannedAttention::look(std::int64_t step, std::int64_t layer, const at::Tensor& q, const at::Tensor& k,
                            const at::Tensor& v, const at::Tensor& out) {
  const std::int64_t heads = q.size(1);
  const std::int64_t sampled = guard_->head(step, layer, q.size(0) * heads);
  const auto head_of = [&](const at::Tensor& x) {
    return x.narrow(0, sampled / heads, 1).narrow(1, sampled % heads, 1);
  };
  const std::int64_t stride = std::max<std::int64_t>(1, q.size(2) / queries_of_look);
  const auto queries_of = [&](const at::Tensor& x) { return head_of(x).slice(2, 0, std::nullopt, stride); };
  const at::Tensor exact = attend(queries_of(q), head_of(k), head_of(v), {.backend = options_.backends.full});
  const Similarity close = similarity(exact, queries_of(out));
  const auto event =
      guard_->observe(step, layer, {.cosine = close.cosine, .relative_l1 = close.relative_l1, .rmse = close.rmse});
  if (event && options_.on_event) options_.on_event(*event);
}

const std::vector<GuardEvent>& PlannedAttention::events() const {
  static const std::vector<GuardEvent> none;
  return guard_ ? guard_->events() : none;
}

}  // namespace bitreel
