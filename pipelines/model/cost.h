// What a request costs, stated by the model before any weight is read: for forecasts, memory plans and benchmarks.
//
//   const Cost cost = model->cost(request);
//   const double flop = static_cast<double>(cost.layers) * attention_flop(cost.attention);   // attention of one step
//   const double peak = std::max({cost.encode.bytes(), cost.denoise.bytes(), cost.decode.bytes()});
//
// FLOP count a multiplication and an addition as two. Bytes are in the run's dtype.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "schedulers/precision/measurement.h"

namespace bitreel {

// A kind of work within a phase, under the name by which it is timed (pipelines/layers/work_clock.h).
struct Work {
  std::string name;
  double flop = 0;
  double bytes = 0;  // read and written at least: inputs, weights and results of every call, once
};

// The phases of a model's work, in order. Each has parts of its own.
enum class Phase { encode, denoise, decode };

struct PhaseCost {
  double weight_bytes = 0;        // of the parts, once loaded; copies that kernels want included
  double activation_bytes = 0;    // of the largest tensors that live at once
  double normed_heads_bytes = 0;  // of these, what is not there where attention norms all heads on its way
  double product_flop = 0;        // matrix products and convolutions
  double attention_flop = 0;      // q k^T and P V
  std::vector<Work> works = {};   // both FLOP by kind, and what only moves bytes; empty when the model doesn't say

  [[nodiscard]] double bytes() const { return weight_bytes + activation_bytes; }
};

// A stretch of the sequence that the denoiser attends over.
struct TokenCount {
  std::string of;  // "text", "video"
  std::int64_t count = 0;
};

struct Cost {
  std::vector<TokenCount> tokens;
  AttentionShape attention;  // one call of one layer, guidance's branches side by side in the batch
  std::int64_t layers = 0;   // such calls in a step
  std::int64_t rounds = 1;   // how often the timesteps are gone through: twice by a variation
  PhaseCost encode;
  PhaseCost denoise;  // one step
  PhaseCost decode;
};

inline double attention_flop(const AttentionShape& shape) {
  return 4.0 * static_cast<double>(shape.batch * shape.heads) * static_cast<double>(shape.queries) *
         static_cast<double>(shape.keys) * static_cast<double>(shape.head_dim);
}

// For people: "226 text + 1792 video tokens".
std::string tokens_text(const Cost& cost);

}  // namespace bitreel
