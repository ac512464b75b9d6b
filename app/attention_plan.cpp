#include "app/attention_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "app/files/provenance.h"
#include "attention/attention.h"
#include "base/error.h"
#include "schedulers/precision/attention_choice.h"

namespace bitreel {

namespace {

std::optional<GuardOptions> guard_of(const Render& render, const Plan& plan) {
  const bool quantized = std::ranges::any_of(plan.rows(), [](const PrecisionRow& row) {
    return std::ranges::any_of(row, [](Precision precision) { return precision != Precision::full; });
  });
  if (!render.options.guard || !quantized) return std::nullopt;
  return GuardOptions{.every = *render.options.guard, .bound = render.options.guard_bound};
}

}  // namespace

PlanTarget target_of(const Render& render) {
  const Pipeline& model = *render.model;
  return {.model = model.checkpoint().folder().filename().string(),
          .model_hash = denoiser_hash(model),
          .scheduler = std::string(name_of(render.request.scheduler)),
          .layers = model.traits().layers,
          .timesteps = model.timesteps(render.request)};
}

Plan resolve_attention(const Render& render) {
  PlanUse use;
  if (!render.options.accept_plan_of.empty()) use.accepted.push_back(render.options.accept_plan_of);
  Plan plan = resolve(parse_attention(render.options.attention), target_of(render), use);
  if (const auto guard = guard_of(render, plan)) (void)Guard(plan, *guard);
  return plan;
}

PlannedAttentionOptions planned_options(const Render& render, const Plan& plan, Console& console,
                                        AttendReport& report) {
  return {.backends = backends_from(render.options.attention_backend),
          .guard = guard_of(render, plan),
          .on_event = [&console](const GuardEvent& event) { console.warn("guard: " + text_of(event)); },
          .report = &report};
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
    for (const GuardEvent& event : planned.events()) {
      record["guard"].push_back({{"step", event.step},
                                 {"layer", event.layer},
                                 {"from", name_of(event.from)},
                                 {"to", name_of(event.to)},
                                 {"error", event.error},
                                 {"bound", event.bound}});
    }
  }
  return record;
}

PlanProgress progress_of(const LatentsFile& file) {
  PlanProgress progress;
  if (!file.unfinished) return progress;
  const std::string where = fmt::format("{}: the metadata's attention", file.path.string());
  const auto precision = [&](const nlohmann::ordered_json& name) {
    return parse_precision(name.get<std::string>(), where);
  };
  try {
    for (const auto& names : file.attention.at("executed")) {
      PrecisionRow& row = progress.executed.emplace_back();
      for (const auto& name : names) row.push_back(precision(name));
    }
    for (const auto& event : file.attention.value("guard", nlohmann::ordered_json::array())) {
      progress.events.push_back({.step = event.at("step"),
                                 .layer = event.at("layer"),
                                 .from = precision(event.at("from")),
                                 .to = precision(event.at("to")),
                                 .error = event.at("error"),
                                 .bound = event.at("bound")});
    }
  } catch (const nlohmann::json::exception& e) {
    throw Error(fmt::format("{} cannot be read: {}", where, e.what()));
  }
  if (std::ssize(progress.executed) != file.unfinished->steps_done) {
    throw Error(fmt::format("{} tells what ran in {} steps, expected {}: steps_done", where, progress.executed.size(),
                            file.unfinished->steps_done));
  }
  return progress;
}

AttendReport fallback_warnings(Console& console) {
  return AttendReport([&console](const std::string& message) { console.warn_once(message); });
}

}  // namespace bitreel
