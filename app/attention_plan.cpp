#include "app/attention_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

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

nlohmann::ordered_json json_of(const AttendReport::Row& row) {
  nlohmann::ordered_json json = {{"precision", name_of(row.precision)}};
  if (row.recipe) json["recipe"] = text_of(*row.recipe);
  json["backend"] = row.backend;
  json["calls"] = row.calls;
  if (!row.fallback.empty()) json["fallback"] = row.fallback;
  return json;
}

}  // namespace

PlanTarget target_of(const Render& render, const ModelIdentity& identity) {
  const Pipeline& model = *render.model;
  return {.model = model.checkpoint().folder().filename().string(),
          .model_hash = identity.denoiser,
          .scheduler = std::string(name_of(render.request.scheduler)),
          .layers = model.traits().layers,
          .timesteps = model.timesteps(render.request)};
}

Plan resolve_attention(const Render& render, const ModelIdentity& identity) {
  PlanUse use;
  if (!render.options.accept_plan_of.empty()) use.accepted.push_back(render.options.accept_plan_of);
  Plan plan = resolve(parse_attention(render.options.attention), target_of(render, identity), use);
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

nlohmann::ordered_json attention_record(const Render& render, const Plan& plan, const PlannedAttention& planned,
                                        const std::vector<AttendReport::Row>& ran) {
  nlohmann::ordered_json executed = nlohmann::ordered_json::array();
  for (const PrecisionRow& row : planned.executed()) {
    nlohmann::ordered_json names = nlohmann::ordered_json::array();
    for (const Precision precision : row) names.push_back(name_of(precision));
    executed.push_back(names);
  }
  nlohmann::ordered_json record = {
      {"requested", render.options.attention}, {"plan", plan.hash()}, {"executed", executed}};
  record["ran"] = nlohmann::ordered_json::array();
  for (const AttendReport::Row& row : ran) record["ran"].push_back(json_of(row));
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
    for (const auto& row : file.attention.value("ran", nlohmann::ordered_json::array())) {
      progress.ran.push_back({.precision = precision(row.at("precision")),
                              .backend = row.at("backend"),
                              .fallback = row.value("fallback", ""),
                              .calls = row.at("calls")});
      if (row.contains("recipe"))
        progress.ran.back().recipe = recipe_from(row.at("recipe").get<std::string>(), at::kCPU);
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

std::vector<AttendReport::Row> merged(std::vector<AttendReport::Row> before,
                                      const std::vector<AttendReport::Row>& now) {
  for (const AttendReport::Row& row : now) {
    const auto known = std::ranges::find_if(before, [&](const AttendReport::Row& other) {
      return other.precision == row.precision && other.recipe == row.recipe && other.backend == row.backend &&
             other.fallback == row.fallback;
    });
    if (known != before.end()) {
      known->calls += row.calls;
    } else {
      before.push_back(row);
    }
  }
  return before;
}

AttendReport fallback_warnings(Console& console) {
  return AttendReport([&console](const std::string& message) { console.warn_once(message); });
}

}  // namespace bitreel
