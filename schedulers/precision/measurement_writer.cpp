#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "schedulers/precision/measurement_file.h"

namespace bitreel {
namespace {

std::string json_quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// Mean and worst as exact as they are, so that a calibration that goes on from the file ends where it would have; the
// deviation is computed from what the reader computes from it, so that only nine digits of it stay the same.
std::string figures(std::string_view name, const Spread& spread) {
  return fmt::format("\"{}\": [{}, {:.9g}, {}]", name, spread.mean, spread.deviation(), spread.worst);
}

std::string cell_text(const CellKey& key, const CellStatistics& cell) {
  return fmt::format("  {{\"layer\": {}, \"step\": {}, \"precision\": \"{}\", {}, {}, {}, {}}}", key.layer, key.step,
                     name_of(key.precision), figures("cosine", cell.cosine), figures("relative_l1", cell.relative_l1),
                     figures("rmse", cell.rmse), figures("score", cell.score));
}

std::string seconds_text(const Measurement& measurement, Precision precision) {
  std::string times;
  for (const double seconds : measurement.seconds(precision))
    times += fmt::format("{}{}", times.empty() ? "" : ", ", seconds);
  return fmt::format("  \"{}\": [{}]", name_of(precision), times);
}

}  // namespace

std::string to_json(const Measurement& measurement) {
  const MeasurementDesign& design = measurement.design();
  const PlanTarget& target = design.made_for;
  if (measurement.prompts().empty()) throw Error("a measurement without any prompt is not worth a file");

  std::vector<std::string> names, prompts, cells, seconds{seconds_text(measurement, Precision::full)};
  for (const Precision precision : design.precisions) {
    names.push_back(fmt::format("\"{}\"", name_of(precision)));
    seconds.push_back(seconds_text(measurement, precision));
  }
  for (const MeasuredPrompt& prompt : measurement.prompts())
    prompts.push_back(fmt::format("  {{\"text\": {}, \"seed\": {}}}", json_quoted(prompt.text), prompt.seed));
  for (const std::int64_t step : design.steps) {
    for (const std::int64_t layer : design.layers) {
      for (const Precision precision : design.precisions) {
        const CellKey key{.layer = layer, .step = step, .precision = precision};
        cells.push_back(cell_text(key, measurement.cell(key)));
      }
    }
  }

  std::string json = fmt::format(
      "{{\"bitreel_measurement\": {},\n"
      " \"made_for\": {{\"model\": {}, \"model_hash\": {}, \"scheduler\": {}, \"layers\": {},\n"
      "              \"timesteps\": [{}]}},\n",
      measurement_format_version, json_quoted(target.model), json_quoted(target.model_hash),
      json_quoted(target.scheduler), target.layers, fmt::join(target.timesteps, ", "));
  json += fmt::format(
      " \"device\": {},\n"
      " \"shape\": {{\"batch\": {}, \"heads\": {}, \"queries\": {}, \"keys\": {}, \"head_dim\": {}}},\n",
      json_quoted(design.device), design.shape.batch, design.shape.heads, design.shape.queries, design.shape.keys,
      design.shape.head_dim);
  json += fmt::format(" \"sampled\": {{\"heads\": [{}], \"layers\": [{}], \"steps\": [{}]}},\n",
                      fmt::join(design.heads, ", "), fmt::join(design.layers, ", "), fmt::join(design.steps, ", "));
  json += fmt::format(" \"precisions\": [{}],\n \"prompts\": [\n{}],\n \"seconds\": {{\n{}}},\n \"cells\": [\n{}]}}\n",
                      fmt::join(names, ", "), fmt::join(prompts, ",\n"), fmt::join(seconds, ",\n"),
                      fmt::join(cells, ",\n"));
  return json;
}

}  // namespace bitreel
