// Whether cells that score badly on some prompts score badly on others too: what lets a plan carry over.
//
//   const double rank = rank_correlation(measured, held_out, Precision::int4);   // 1: the same order; 0: no relation
//
// Spearman's rank correlation of the cells' mean scores (ties share their mean rank), over the cells of both designs.
// Error unless both are of one model and scheduler and sample the same layers and steps.
#pragma once

#include "schedulers/precision/measurement.h"

namespace bitreel {

double rank_correlation(const Measurement& a, const Measurement& b, Precision precision);

}  // namespace bitreel
