#include "app/attention_plan.h"

#include "app/provenance.h"
#include "schedulers/precision/attention_choice.h"

namespace bitreel {

PlanTarget target_of(const Render& render, const Checkpoint& checkpoint) {
  return {.model = checkpoint.folder().filename().string(),
          .model_hash = transformer_hash(checkpoint),
          .scheduler = std::string(name_of(render.request.scheduler)),
          .layers = render.config.transformer.num_layers,
          .timesteps = timesteps_of(render.request, render.config)};
}

Plan resolve_attention(const Render& render, const Checkpoint& checkpoint) {
  PlanUse use;
  if (!render.options.accept_plan_of.empty()) use.accepted.push_back(render.options.accept_plan_of);
  return resolve(parse_attention(render.options.attention), target_of(render, checkpoint), use);
}

PlannedAttentionOptions planned_options(const Render& render, Console& console) {
  PlannedAttentionOptions options{.backend = render.options.attention_backend};
  options.on_event = [&console](const GuardEvent& event) { console.warn("guard: " + text_of(event)); };
  if (render.options.guard)
    options.guard = GuardOptions{.every = *render.options.guard, .bound = render.options.guard_bound};
  return options;
}

nlohmann::ordered_json attention_record(const Render& render, const Plan& plan, const PlannedAttention& planned) {
  nlohmann::ordered_json executed = nlohmann::ordered_json::array();
  for (const PrecisionRow& row : planned.executed()) {
    nlohmann::ordered_json names = nlohmann::ordered_json::array();
    for (const Precision precision : row) names.push_back(name_of(precision));
    executed.push_back(names);
  }
  nlohmann::ordered_json record = {
      {"requested", render.options.attention}, {"plan", plan.hash()}, {"executed", executed}};
  if (render.options.guard) {
    record["guard"] = nlohmann::ordered_json::array();
    for (const GuardEvent& event : planned.events()) record["guard"].push_back(text_of(event));
  }
  return record;
}

}  // namespace bitreel
