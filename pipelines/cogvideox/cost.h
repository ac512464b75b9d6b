// What a CogVideoX clip costs, counted from its configuration alone.
//
//   const Cost cost = cost_of(request, config, {.dtype = at::kFloat, .device = at::kCPU});
//   const double flop = cost.denoise.product_flop + cost.denoise.attention_flop;   // of one step
//
// FLOP and parameters are exact counts of the modules' matrix products, convolutions and tensors (a test holds the
// parameters against checkpoints). Activation bytes are an estimate: how many of the largest tensors live at once is
// stated beside the constants in cost.cpp and was checked against measured peaks.
#pragma once

#include "pipelines/cogvideox/config.h"
#include "pipelines/model/cost.h"
#include "pipelines/model/request.h"
#include "pipelines/model/run_options.h"

namespace bitreel {

// Numbers in the weights of each component.
double parameters_of(const T5Config& config);
double parameters_of(const TransformerConfig& config);
double decoder_parameters_of(const VaeConfig& config);

// options.dtype must be there. Automatic tiling counts as none: the pipeline knows what it chooses.
Cost cost_of(const Request& request, const CogVideoXConfig& config, const RunOptions& options);

}  // namespace bitreel
