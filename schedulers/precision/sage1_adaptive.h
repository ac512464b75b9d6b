// SageAttention's rule (arXiv 2410.02367, section 4.5): a layer runs the fast kernel, SAGEAttn-vB, where that kernel's
// output still points where full precision's does, and the careful one, SAGEAttn-B, elsewhere.
//
//   const Plan plan = sage1_adaptive(measurement);            // of sage1-vb, and sage1-b or else full precision
//   const PlannedTable table = Planner(measurement).judge(plan);
//
// The same precision in every step, as in the paper. Of layers that were not measured: as in the nearest that was.
#pragma once

#include "schedulers/precision/measurement.h"
#include "schedulers/precision/plan.h"

namespace bitreel {

// The worst cosine similarity that SAGEAttn-B showed in any layer.
inline constexpr double sage1_least_cosine = 0.998;

// sage1-vb where its worst cosine over the layer's steps and prompts exceeds `least_cosine`.
// Throws UsageError when sage1-vb was not measured.
Plan sage1_adaptive(const Measurement& measurement, double least_cosine = sage1_least_cosine);

}  // namespace bitreel
