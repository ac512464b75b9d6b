#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/input_file.h"
#include "base/json_text.h"
#include "base/nearest.h"
#include "schedulers/precision/measurement_file.h"

namespace bitreel {
namespace {

using nlohmann::json;

constexpr double rounding_of_digits = 1e-6;  // of the written digits

// A value and the way to it ("MEASURED.json: cells[3].score"), so that every complaint says where.
struct Field {
  const json& value;
  std::string path;

  [[noreturn]] void refuse(const std::string& expected) const {
    const std::string got = value.is_structured() ? value.type_name() : value.dump();
    throw Error(fmt::format("{} is {}, expected {}", here(), got, expected));
  }

  [[nodiscard]] std::string here() const { return path.ends_with(": ") ? path.substr(0, path.size() - 1) : path; }
  // The object's field; key is one of those that only() allowed.
  [[nodiscard]] Field at(const std::string& key) const {
    return {value.at(key), path + (path.ends_with(": ") ? "" : ".") + key};
  }
  [[nodiscard]] Field at(std::size_t index) const { return {value.at(index), fmt::format("{}[{}]", path, index)}; }

  // Every one of these keys and no other.
  void only(const std::vector<std::string>& keys) const {
    if (!value.is_object()) refuse("an object");
    for (const auto& [key, unused] : value.items()) {
      if (std::ranges::find(keys, key) != keys.end()) continue;
      const std::string meant = nearest(key, keys);
      throw Error(fmt::format("{} has the unknown key {}", here(), key),
                  meant.empty() ? fmt::format("its keys are {}", fmt::join(keys, ", "))
                                : fmt::format("did you mean {}?", meant));
    }
    for (const std::string& key : keys) {
      if (!value.contains(key)) throw Error(fmt::format("{} has no {}", here(), key));
    }
  }

  [[nodiscard]] std::size_t size() const {
    if (!value.is_array()) refuse("a list");
    return value.size();
  }
  [[nodiscard]] std::string text() const {
    if (!value.is_string()) refuse("a text");
    return value.get<std::string>();
  }
  [[nodiscard]] std::int64_t whole() const {
    if (!value.is_number_integer()) refuse("a whole number");
    return value.get<std::int64_t>();
  }
  [[nodiscard]] double number() const {
    if (!value.is_number() || !std::isfinite(value.get<double>())) refuse("a finite number");
    return value.get<double>();
  }
  [[nodiscard]] std::vector<std::int64_t> wholes() const {
    std::vector<std::int64_t> numbers;
    for (std::size_t i = 0; i < size(); ++i) numbers.push_back(at(i).whole());
    return numbers;
  }
  [[nodiscard]] Precision precision() const {
    std::vector<std::string> names;
    for (const Precision known : all_precisions()) names.emplace_back(name_of(known));
    const std::string name = text();
    if (const std::optional<Precision> known = precision_from(name)) return *known;
    const std::string meant = nearest(name, names);
    throw Error(fmt::format("{}: \"{}\" is no precision", path, name),
                meant.empty() ? fmt::format("precisions are {}", fmt::join(names, ", "))
                              : fmt::format("did you mean {}?", meant));
  }
};

// The parser says how many bytes it had read; people count lines.
std::int64_t line_of(const std::string& text, std::size_t byte) {
  return 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(std::min(byte, text.size())), '\n');
}

json parse(const std::string& text, const std::string& name) {
  if (nests_too_deep(text)) throw Error(fmt::format("{}: {}", name, too_deep_text()));
  std::vector<std::set<std::string>> keys;  // of the objects that are open; nlohmann would keep the last of two
  const auto watch = [&](int, json::parse_event_t event, json& value) {
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second)
      throw Error(fmt::format("{}: the key {} is given twice in one object", name, value.get<std::string>()));
    return true;
  };
  try {
    return json::parse(text, watch);
  } catch (const json::parse_error& e) {  // the library's own types: translated here, where the name is known
    if (e.byte > text.size())
      throw Error(fmt::format("{}:{}: ends in the middle", name, line_of(text, text.size())),
                  "bitreel calibrate writes whole files: this one was cut since; copy it again");
    throw Error(fmt::format("{}:{}: is no JSON here", name, line_of(text, e.byte)));
  } catch (const json::out_of_range&) {  // 1e999
    throw Error(fmt::format("{}: holds a number that is not finite", name));
  }
}

MeasurementDesign design_from(const Field& root) {
  const Field target = root.at("made_for"), shape = root.at("shape"), sampled = root.at("sampled");
  target.only({"model", "model_hash", "scheduler", "layers", "timesteps"});
  shape.only({"batch", "heads", "queries", "keys", "head_dim"});
  sampled.only({"heads", "layers", "steps"});
  MeasurementDesign design{.made_for = {.model = target.at("model").text(),
                                        .model_hash = target.at("model_hash").text(),
                                        .scheduler = target.at("scheduler").text(),
                                        .layers = target.at("layers").whole(),
                                        .timesteps = target.at("timesteps").wholes()},
                           .device = root.at("device").text(),
                           .shape = {.batch = shape.at("batch").whole(),
                                     .heads = shape.at("heads").whole(),
                                     .queries = shape.at("queries").whole(),
                                     .keys = shape.at("keys").whole(),
                                     .head_dim = shape.at("head_dim").whole()},
                           .heads = sampled.at("heads").wholes(),
                           .layers = sampled.at("layers").wholes(),
                           .steps = sampled.at("steps").wholes(),
                           .precisions = {}};
  const Field precisions = root.at("precisions");
  for (std::size_t i = 0; i < precisions.size(); ++i) design.precisions.push_back(precisions.at(i).precision());
  if (const std::string problem = problem_of(design); !problem.empty()) throw Error(root.path + problem);
  return design;
}

// The figure over `count` prompts; least and most: what it can be.
Spread spread_from(const Field& field, std::size_t count, Worst end, double least, double most) {
  if (field.size() != 3) field.refuse("a mean, a standard deviation and a worst value");
  const double mean = field.at(0).number(), deviation = field.at(1).number(), worst = field.at(2).number();
  for (const std::size_t i : {0U, 2U}) {
    const Field figure = field.at(i);
    if (figure.number() < least - rounding_of_digits || figure.number() > most + rounding_of_digits)
      figure.refuse(fmt::format("a number from {} to {}", least, most));
  }
  if (deviation < 0) field.at(1).refuse("a deviation of 0 or more");
  const double beyond = end == Worst::lowest ? worst - mean : mean - worst;
  if (beyond > rounding_of_digits * std::max(1.0, std::abs(mean)))
    field.at(2).refuse(fmt::format("a worst value on the far side of the mean {}", mean));
  return {
      .count = count, .mean = mean, .squares = deviation * deviation * static_cast<double>(count - 1), .worst = worst};
}

CellStatistics cell_from(const Field& field, std::size_t prompts) {
  constexpr double most = std::numeric_limits<double>::max();
  return {.cosine = spread_from(field.at("cosine"), prompts, Worst::lowest, -1, 1),
          .relative_l1 = spread_from(field.at("relative_l1"), prompts, Worst::highest, 0, most),
          .rmse = spread_from(field.at("rmse"), prompts, Worst::highest, 0, most),
          .score = spread_from(field.at("score"), prompts, Worst::lowest, -most, 1)};
}

}  // namespace

class MeasurementReader {
 public:
  static Measurement read(const Field& root) {
    Measurement measurement(design_from(root));
    read_prompts(root.at("prompts"), measurement);
    read_cells(root.at("cells"), measurement);
    read_seconds(root.at("seconds"), measurement);
    return measurement;
  }

 private:
  static void read_prompts(const Field& prompts, Measurement& measurement) {
    if (prompts.size() == 0) prompts.refuse("at least one prompt");
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      const Field entry = prompts.at(i);
      entry.only({"text", "seed"});
      const Field seed = entry.at("seed");
      if (!seed.value.is_number_unsigned()) seed.refuse("a whole number from 0");
      const MeasuredPrompt prompt{.text = entry.at("text").text(), .seed = seed.value.get<std::uint64_t>()};
      if (measurement.has(prompt)) throw Error(fmt::format("{} repeats an earlier prompt and seed", entry.path));
      measurement.prompts_.push_back(prompt);
    }
  }

  static void read_cells(const Field& cells, Measurement& measurement) {
    const MeasurementDesign& design = measurement.design_;
    const auto cell_at = [&](const CellKey& key) -> CellStatistics& { return measurement.cells_[design.index(key)]; };
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const Field entry = cells.at(i);
      entry.only({"layer", "step", "precision", "cosine", "relative_l1", "rmse", "score"});
      const CellKey key{.layer = entry.at("layer").whole(),
                        .step = entry.at("step").whole(),
                        .precision = entry.at("precision").precision()};
      if (std::ranges::find(design.layers, key.layer) == design.layers.end())
        entry.at("layer").refuse("a sampled layer");
      if (std::ranges::find(design.steps, key.step) == design.steps.end()) entry.at("step").refuse("a sampled step");
      if (std::ranges::find(design.precisions, key.precision) == design.precisions.end())
        entry.at("precision").refuse("one of the file's precisions");
      if (cell_at(key).score.count > 0)
        throw Error(fmt::format("{}: layer {}, step {}, {} comes twice", entry.path, key.layer, key.step,
                                name_of(key.precision)));
      cell_at(key) = cell_from(entry, measurement.prompts_.size());
    }
    for (const std::int64_t step : design.steps) {
      for (const std::int64_t layer : design.layers) {
        for (const Precision precision : design.precisions) {
          if (cell_at({.layer = layer, .step = step, .precision = precision}).score.count == 0)
            throw Error(
                fmt::format("{}: layer {}, step {}, {} is missing", cells.path, layer, step, name_of(precision)));
        }
      }
    }
  }

  static void read_seconds(const Field& seconds, Measurement& measurement) {
    std::vector<std::string> names{std::string(name_of(Precision::full))};
    for (const Precision precision : measurement.design_.precisions) names.emplace_back(name_of(precision));
    seconds.only(names);
    for (const std::string& name : names) {
      const Field times = seconds.at(name);
      if (times.size() == 0) times.refuse("at least one time");
      for (std::size_t i = 0; i < times.size(); ++i) {
        const Field time = times.at(i);
        if (!(time.number() > 0)) time.refuse("seconds above 0");
        measurement.add_seconds(*precision_from(name), time.number());
      }
    }
  }
};

Measurement measurement_from_json(const std::string& text, const std::string& name) {
  const json document = parse(text, name);
  if (!document.is_object() || !document.contains("bitreel_measurement"))
    throw Error(fmt::format("{}: is no measurement, expected {{\"bitreel_measurement\": {}, ...}}", name,
                            measurement_format_version),
                "bitreel calibrate makes one");
  // A name and a colon, then the way: "MEASURED.json: cells[3].score".
  const Field root{document, name + ": "};
  const Field version{document.at("bitreel_measurement"), name + ": bitreel_measurement"};
  if (version.whole() != measurement_format_version)
    version.refuse(fmt::format("{}, the version that this program reads", measurement_format_version));
  root.only(
      {"bitreel_measurement", "made_for", "device", "shape", "sampled", "precisions", "prompts", "seconds", "cells"});
  return MeasurementReader::read(root);
}

Measurement read_measurement(const std::filesystem::path& file) {
  return measurement_from_json(read_file(file, {.expected = "a measurement: bitreel calibrate makes one"}),
                               file.string());
}

}  // namespace bitreel
