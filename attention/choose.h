// SageAttention's rule for one layer (2410.02367 section 4.5): of the kernels whose output still points where full
// precision's does, on every captured input, the fastest.
//
//   const std::vector<Candidate> candidates = {{recipe_of(Precision::sage1_vb), 0.010},
//                                              {recipe_of(Precision::sage1_b), 0.011}};
//   const std::optional<Recipe> chosen = fastest_that_holds(captured, candidates);   // none: stay with full precision
//
// Runs attend() on the inputs' device: once per sample in full precision, and per candidate until one sample fails it.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <span>

#include "attention/attention.h"

namespace bitreel {

// One call of the layer, as attend() gets it.
struct CapturedCall {
  at::Tensor q, k, v;
  AttendOptions options;  // precision and recipe are the rule's to set
};

struct Candidate {
  Recipe recipe;
  double seconds;  // per call, measured on this device
};

// The worst cosine similarity that SAGEAttn-B showed in any layer (2410.02367 section 4.5).
inline constexpr double least_cosine = 0.998;

// The recipe with the fewest seconds whose cosine similarity is at least `threshold` on every call; none when none's
// is. Throws Error without captured calls, or when attend() does.
std::optional<Recipe> fastest_that_holds(std::span<const CapturedCall> calls, std::span<const Candidate> candidates,
                                         double threshold = least_cosine);

}  // namespace bitreel
