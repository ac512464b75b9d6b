// The variants of a comparison with nothing left open. Those that agree on what a model is opened with share it.
//
//   const ComparisonFolder folder("out/compare");
//   const std::vector<PreparedVariant> variants = prepare_variants(comparison, folder);
//   const Render render = variants[1].render_of(comparison, folder, 0);   // of the first prompt's clip
//
// Errors: those of generate, before any work: a variant that can't run fails the comparison.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "app/compare/comparison.h"
#include "app/compare/comparison_folder.h"
#include "app/files/model_identity.h"
#include "app/render.h"
#include "schedulers/precision/plan.h"

namespace bitreel {

struct PreparedVariant {
  std::string name;
  Render render;  // of the first prompt
  ModelIdentity identity;
  Plan plan;

  [[nodiscard]] Render render_of(const Comparison& comparison, const ComparisonFolder& folder,
                                 std::size_t prompt) const;
};

// The baseline first, as in the comparison; makes their folders.
std::vector<PreparedVariant> prepare_variants(const Comparison& comparison, const ComparisonFolder& folder);

}  // namespace bitreel
