// A precision plan at work: every layer of every step attends as the plan's row says, and what ran is kept.
//
//   PlannedAttention planned(plan, {.guard = GuardOptions{.every = 5}, .on_event = log});
//   model.denoise(request, embeddings, {.attention_of_step = std::ref(planned)});
//   planned.executed();       // one row per step
//
// With a guard, every few steps queries of one head of each layer that is not in full precision are computed so too
// (schedulers/precision/guard.h); where its error exceeds the bound, the layer gets more bits from the next step on.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "attention/attention.h"
#include "pipelines/model/layer_attention.h"
#include "schedulers/precision/guard.h"
#include "schedulers/precision/plan.h"

namespace bitreel {

// What the steps so far left behind.
struct PlanProgress {
  std::vector<PrecisionRow> executed;  // one row per step
  std::vector<GuardEvent> events;
  std::vector<AttendReport::Row> ran;  // what the calls ran on
};

// How long the calls took, alone, over all steps so far.
struct AttentionTimes {
  double seconds = 0;           // quantization included, the guard's looks not
  double quantize_seconds = 0;  // of them; CPU kernels tell, others leave it at 0
};

struct PlannedAttentionOptions {
  BackendNames backends = {};  // the best when empty
  std::optional<GuardOptions> guard = {};
  std::function<void(const GuardEvent&)> on_event = {};
  AttendReport* report = nullptr;   // told what the plan's calls ran on
  AttentionTimes* times = nullptr;  // told how long they took; a GPU is waited for around each
};

class PlannedAttention {
 public:
  // plan: on this run's timesteps. before: of the steps before, when a run is taken up again.
  // UsageError when a guard is asked for and there is no bound.
  PlannedAttention(const Plan& plan, PlannedAttentionOptions options, PlanProgress before = {});

  // The attention of one step; steps come in order.
  LayerAttention operator()(const DenoisingStep& step);

  [[nodiscard]] const std::vector<PrecisionRow>& executed() const { return executed_; }
  [[nodiscard]] const std::vector<GuardEvent>& events() const;

 private:
  [[nodiscard]] at::Tensor attend_timed(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                        AttendOptions call) const;
  void look(std::int64_t step, std::int64_t layer, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
            const at::Tensor& out);

  Plan plan_;
  PlannedAttentionOptions options_;
  std::optional<Guard> guard_;
  std::vector<PrecisionRow> executed_;
};

}  // namespace bitreel
