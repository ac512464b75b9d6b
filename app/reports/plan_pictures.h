// What a measurement and a plan look like: heat maps of layers by steps, the Pareto front, errors over steps.
//
//   write_whole("scores.svg", to_svg(score_map(planner, Precision::int4)));
//   write_whole("pareto.png", to_png(pareto_chart(planner, table)));
//
// Colours are told apart by people who are colour-blind, and in grey: the scale of scores is Cividis (Nunez, Anderton &
// Renslow 2018), those of precisions are after Okabe & Ito's palette.
#pragma once

#include "app/reports/scene.h"
#include "schedulers/precision/planner.h"

namespace bitreel {

// Score of every cell in one precision, by what the planner judges by.
Scene score_map(const Planner& planner, Precision precision);

// Which precision every cell has.
Scene plan_map(const Plan& plan);

// Predicted error against predicted seconds: the front, every candidate alone, the plan.
Scene pareto_chart(const Planner& planner, const PlannedTable& chosen);

// Mean error over layers at every step, of every candidate alone and of the plan.
Scene error_over_steps(const Planner& planner, const PlannedTable& chosen);

}  // namespace bitreel
