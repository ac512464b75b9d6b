// A precision plan: which attention layer of which denoising step runs in which precision.
//
//   const Plan plan = resolve(parse_attention("first-last:3=int8,rest=int4"), target);   // attention_choice.h
//   const PrecisionRow& row = plan.row(timestep);      // once per step, for all guidance branches
//   for (const Precision precision : row) attend_in(precision);
//
// A plan states what it was made for and fits other step counts by timestep: a step takes the row whose timestep is
// nearest. Nothing but a table: no model, no tensors. Files: plan_file.h. Made from measurements: planner.h.
// After the adaptive quantization over layers and timesteps of SageAttention2, arXiv 2411.10958v1.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "attention/precision.h"
#include "schedulers/precision/target.h"

namespace bitreel {

using PrecisionRow = std::vector<Precision>;  // one per layer

class Plan {
 public:
  // One row per timestep of the target, one precision per layer in each; Error otherwise.
  Plan(PlanTarget made_for, std::vector<PrecisionRow> rows);

  [[nodiscard]] const PlanTarget& made_for() const { return made_for_; }
  [[nodiscard]] const std::vector<PrecisionRow>& rows() const { return rows_; }
  // The row of the nearest timestep; halfway between two, that of the noisier one (the larger timestep).
  [[nodiscard]] const PrecisionRow& row(std::int64_t timestep) const;
  // The same plan on other timesteps: what row() answers for each of them.
  [[nodiscard]] Plan on(const std::vector<std::int64_t>& timesteps) const;

  // The ones that some cell has, each once.
  [[nodiscard]] std::vector<Precision> precisions() const;

  // Sixteen hexadecimal digits that are the same for the same timesteps and table on every machine (FNV-1a, 64 bit).
  [[nodiscard]] std::string hash() const;

  // The error of one attention call, 1 - score, that a guard lets pass (guard.h); none unless the planner set one.
  std::optional<double> bound;
  std::string note;  // how it was made, for people

 private:
  PlanTarget made_for_;
  std::vector<PrecisionRow> rows_;
};

// For people: one line per layer, one character per step, and what the characters mean.
//
//   layer 0  888444444888
//   layer 1  888444444888
//   8 int8, 4 int4; 12 steps, timesteps 999 to 19
std::string table_text(const Plan& plan);

// "int4 70.0 %, int8 30.0 %": the shares of the table's cells, largest first.
std::string shares_text(const Plan& plan);
std::string shares_text(const std::vector<PrecisionRow>& rows);

// Names of models or schedulers whose plans are welcome although this run has another.
struct PlanUse {
  std::vector<std::string> accepted;
};

// Throws UsageError when the plan was made for another model or scheduler and that is not accepted by its name, or for
// another number of layers. The message begins with `origin`.
void check_fits(const Plan& plan, const PlanTarget& run, const PlanUse& use, const std::string& origin);

}  // namespace bitreel
