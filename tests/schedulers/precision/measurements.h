// Measurements whose figures are known, for the tests of files, planners and pictures.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "schedulers/precision/measurement.h"
#include "tests/schedulers/precision/targets.h"

namespace bitreel::test {

inline constexpr auto full = Precision::full, int8 = Precision::int8, int4 = Precision::int4;

struct MadeUp {
  MeasurementDesign design;
  std::map<Precision, double> seconds;                   // per call, full precision too
  std::function<CellError(const CellKey&, int)> errors;  // of a cell on the prompt of that number
  int prompts = 1;
  int first_prompt = 0;
};

inline MeasurementDesign design_of(std::int64_t layers, std::int64_t steps, std::vector<Precision> precisions) {
  return MeasurementDesign::whole(target_of(layers, steps), "a device",
                                  {.batch = 2, .heads = 4, .queries = 130, .keys = 130, .head_dim = 64},
                                  std::move(precisions));
}

// An error of `error` = 1 - score, all of it in the cosine.
inline CellError off_by(double error) {
  return {.cosine = 1 - error, .relative_l1 = 0, .rmse = error / 8};
}

inline PromptErrors prompt_errors(const MadeUp& made, int prompt) {
  PromptErrors errors(made.design,
                      {.text = "prompt " + std::to_string(prompt), .seed = static_cast<std::uint64_t>(prompt)});
  for (const std::int64_t layer : made.design.layers) {
    for (const std::int64_t step : made.design.steps) {
      for (const Precision precision : made.design.precisions) {
        const CellKey key{.layer = layer, .step = step, .precision = precision};
        errors.set(key, made.errors(key, prompt));
      }
    }
  }
  return errors;
}

inline Measurement measure(const MadeUp& made) {
  Measurement measurement(made.design);
  for (int prompt = made.first_prompt; prompt < made.first_prompt + made.prompts; ++prompt)
    measurement.add(prompt_errors(made, prompt));
  for (const auto& [precision, seconds] : made.seconds) measurement.add_seconds(precision, seconds);
  return measurement;
}

}  // namespace bitreel::test
