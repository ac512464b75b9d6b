// Full precision with an eye on the candidates: every sampled layer of every sampled step is also computed in each
// candidate precision, from the same queries, keys and values, and compared.
//
//   CalibratingAttention calibrating(design, {.text = "a red circle", .seed = 7});
//   model.denoise(request, embeddings, {.attention_of_step = std::ref(calibrating)});
//   measurement.add(calibrating.errors());
//
// The clip itself stays in full precision. Nothing is kept but figures, so memory does not grow with layers or steps.
// Times are of whole calls, all heads, taken at the middle step's first sampled layer, the candidates in turn.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "attention/attention.h"
#include "pipelines/model/layer_attention.h"
#include "schedulers/precision/measurement.h"

namespace bitreel {

struct CalibratingOptions {
  BackendNames backends = {};      // the best when empty
  std::int64_t timings = 3;        // of full precision and of each candidate
  AttendReport* report = nullptr;  // told what ran
};

class CalibratingAttention {
 public:
  CalibratingAttention(const MeasurementDesign& design, MeasuredPrompt prompt, CalibratingOptions options = {});

  LayerAttention operator()(const DenoisingStep& step);

  [[nodiscard]] const PromptErrors& errors() const { return errors_; }
  // Of one call each, in seconds.
  [[nodiscard]] const std::vector<std::pair<Precision, double>>& timings() const { return timings_; }

 private:
  [[nodiscard]] AttendOptions options_for(Precision precision) const;
  void measure(std::int64_t step, std::int64_t layer, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
               const at::Tensor& exact);
  void time(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

  MeasurementDesign design_;
  CalibratingOptions options_;
  PromptErrors errors_;
  std::vector<std::pair<Precision, double>> timings_;
};

}  // namespace bitreel
