// The precision plan of one clip: from --attention to what ran.
//
//   const Plan plan = resolve_attention(render, identity);             // throws before any work
//   AttendReport report = fallback_warnings(console);
//   PlannedAttention planned(plan, planned_options(render, plan, console, report));
//   render.model->denoise(render.request, embeddings, {.attention_of_step = std::ref(planned)});
//   const auto record = attention_record(render, plan, planned, report.rows());
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/console.h"
#include "app/files/latents_file.h"
#include "app/files/model_identity.h"
#include "app/render.h"
#include "pipelines/model/planned_attention.h"
#include "schedulers/precision/plan.h"

namespace bitreel {

// What a plan or a measurement of this request is for.
PlanTarget target_of(const Render& render, const ModelIdentity& identity);

// On the request's timesteps. UsageError for a plan that is malformed or made for another model or scheduler, or that
// the guard can't watch.
Plan resolve_attention(const Render& render, const ModelIdentity& identity);

// Guard events are said and kept as warnings. A plan in full precision needs no guard and gets none.
// report: told what ran.
PlannedAttentionOptions planned_options(const Render& render, const Plan& plan, Console& console, AttendReport& report);

// The record's "attention" (docs/documents.md): executed holds one list per step, one precision name per layer; ran
// what the plan's calls ran on; guard the events, with a guard.
nlohmann::ordered_json attention_record(const Render& render, const Plan& plan, const PlannedAttention& planned,
                                        const std::vector<AttendReport::Row>& ran);
// What the record in the file of an unfinished clip says of the steps before. Error when there is none of all of them.
PlanProgress progress_of(const LatentsFile& file);

// What ran before and now, as one.
std::vector<AttendReport::Row> merged(std::vector<AttendReport::Row> before, const std::vector<AttendReport::Row>& now);

// Calls of attend() that a slow backend does are warned about.
AttendReport fallback_warnings(Console& console);

}  // namespace bitreel
