// What a UniDiffuser run computes and holds, from its configuration alone.
//
//   const Cost cost = cost_of(request, config, options);
//   cost.attention;                                  // v1, guided: [2, 24, 1105, 64]
#pragma once

#include "pipelines/model/cost.h"
#include "pipelines/model/request.h"
#include "pipelines/model/run_options.h"
#include "pipelines/unidiffuser/config.h"

namespace bitreel {

// Numbers in the U-ViT's weights that a run uses.
double parameters_of(const UVitConfig& config);

// options.dtype must be there.
Cost cost_of(const Request& request, const UniDiffuserConfig& config, const RunOptions& options);

}  // namespace bitreel
