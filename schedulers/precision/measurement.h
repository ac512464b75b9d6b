// What each precision costs a model in accuracy and saves in time, layer by layer and step by step.
//
//   Measurement measurement(design);
//   PromptErrors errors(measurement.design(), {.text = "a red circle", .seed = 7});
//   const CellKey cell{.layer = 0, .step = 0, .precision = Precision::int4};   // and every other of the design
//   errors.set(cell, {.cosine = 0.996, .relative_l1 = 0.06, .rmse = 0.01});
//   measurement.add(errors);                               // a prompt counts when it is whole
//   measurement.add_seconds(Precision::int4, 0.0021);      // of one call at the design's shape; full precision too
//   const double score = measurement.cell(cell).score.mean;
//
// Only sums over prompts are kept, so memory does not grow with them, and a calibration can go on after any prompt.
// Measurements of the same design but other prompts merge. File: measurement_file.h.
// Metrics: SageAttention2, arXiv 2411.10958v1: score = CosSim * (1 - relative L1) of a quantized call's output against
// full precision; the score of a cell is the mean of its prompts' scores. Errors: Error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "attention/precision.h"
#include "schedulers/precision/target.h"

namespace bitreel {

// One attention call's output against full precision's.
struct CellError {
  double cosine = 1;
  double relative_l1 = 0;
  double rmse = 0;
  [[nodiscard]] double score() const { return cosine * (1 - relative_l1); }
};

// Which end of a figure is its worst.
enum class Worst { lowest, highest };

// Mean, spread and worst of one figure over prompts, without keeping them (Welford 1962; merging: Chan et al. 1979).
struct Spread {
  std::size_t count = 0;
  double mean = 0;
  double squares = 0;  // sum of squared distances from the mean
  double worst = 0;

  void add(double value, Worst end);
  void merge(const Spread& other, Worst end);
  [[nodiscard]] double deviation() const;  // standard, of a sample; 0 below two values
};

struct CellStatistics {
  Spread cosine, relative_l1, rmse, score;
  void add(const CellError& error);
  void merge(const CellStatistics& other);
};

struct CellKey {
  std::int64_t layer = 0;
  std::int64_t step = 0;
  Precision precision = Precision::full;
};

struct MeasuredPrompt {
  std::string text;
  std::uint64_t seed = 0;
  friend bool operator==(const MeasuredPrompt&, const MeasuredPrompt&) = default;
};

struct AttentionShape {
  std::int64_t batch = 1, heads = 1, queries = 1, keys = 1, head_dim = 64;
  friend bool operator==(const AttentionShape&, const AttentionShape&) = default;
};

// What is measured, settled before the first prompt.
struct MeasurementDesign {
  PlanTarget made_for;
  std::string device;  // whose times they are: "AMD EPYC 9R14, 2 threads"
  AttentionShape shape;
  std::vector<std::int64_t> heads, layers, steps;  // the sampled ones, rising; all of them or a part
  std::vector<Precision> precisions;               // candidates, without full precision
  friend bool operator==(const MeasurementDesign&, const MeasurementDesign&) = default;

  // Every layer and step, all heads of the shape.
  static MeasurementDesign whole(PlanTarget made_for, std::string device, AttentionShape shape,
                                 std::vector<Precision> precisions);
  [[nodiscard]] std::size_t cells() const { return layers.size() * steps.size() * precisions.size(); }
  // The cell's index in a flat table; Error when it is not part of the design.
  [[nodiscard]] std::size_t index(const CellKey& key) const;
};

// What is wrong with it, as a sentence; empty when nothing is.
std::string problem_of(const MeasurementDesign& design);

// The errors of one prompt's clip, cell by cell in any order.
class PromptErrors {
 public:
  PromptErrors(const MeasurementDesign& design, MeasuredPrompt prompt);
  // Error when the cell is set already or the figures cannot be (not finite, cosine beyond 1, negative errors).
  void set(const CellKey& key, const CellError& error);

 private:
  friend class Measurement;
  MeasurementDesign design_;
  MeasuredPrompt prompt_;
  std::vector<std::optional<CellError>> errors_;
};

class Measurement {
 public:
  explicit Measurement(MeasurementDesign design);

  [[nodiscard]] const MeasurementDesign& design() const { return design_; }
  [[nodiscard]] const std::vector<MeasuredPrompt>& prompts() const { return prompts_; }
  [[nodiscard]] bool has(const MeasuredPrompt& prompt) const;
  [[nodiscard]] const CellStatistics& cell(const CellKey& key) const { return cells_[design_.index(key)]; }

  // Error when a cell is missing or the prompt with this seed is in already.
  void add(const PromptErrors& errors);
  // Seconds of one call; of full precision or a candidate.
  void add_seconds(Precision precision, double seconds);
  // The other's prompts and times. Error, calling the other by its name and saying what differs, unless the designs are
  // the same and no prompt is shared.
  void merge(const Measurement& other, const std::string& name);

  // In the order in which they were taken.
  [[nodiscard]] const std::vector<double>& seconds(Precision precision) const;
  // Of one call; Error when none was timed. Median: what plans are made with, as one late interrupt does not move it.
  [[nodiscard]] double median_seconds(Precision precision) const;
  [[nodiscard]] double mean_seconds(Precision precision) const;

 private:
  friend class MeasurementReader;
  MeasurementDesign design_;
  std::vector<MeasuredPrompt> prompts_;
  std::vector<CellStatistics> cells_;
  std::map<Precision, std::vector<double>> seconds_;
};

}  // namespace bitreel
