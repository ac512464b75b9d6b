#include "schedulers/precision/sage1_adaptive.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "base/error.h"

namespace bitreel {

Plan sage1_adaptive(const Measurement& measurement, double least_cosine) {
  const MeasurementDesign& design = measurement.design();
  const auto measured = [&](Precision precision) {
    return std::ranges::find(design.precisions, precision) != design.precisions.end();
  };
  if (!measured(Precision::sage1_vb)) {
    throw UsageError("the rule sage1-adaptive weighs sage1-vb, which was not measured",
                     "bitreel calibrate measures sage1-vb and sage1-b when they are named");
  }
  const Precision careful = measured(Precision::sage1_b) ? Precision::sage1_b : Precision::full;
  const auto holds = [&](std::int64_t layer) {
    return std::ranges::all_of(design.steps, [&](std::int64_t step) {
      return measurement.cell({.layer = layer, .step = step, .precision = Precision::sage1_vb}).cosine.worst >
             least_cosine;
    });
  };
  PrecisionRow row;
  for (std::int64_t layer = 0; layer < design.made_for.layers; ++layer) {
    const std::int64_t nearest = *std::ranges::min_element(
        design.layers, {}, [layer](std::int64_t sampled) { return std::abs(sampled - layer); });
    row.push_back(holds(nearest) ? Precision::sage1_vb : careful);
  }
  return Plan(design.made_for, std::vector<PrecisionRow>(design.made_for.steps(), row));
}

}  // namespace bitreel
