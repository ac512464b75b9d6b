// A denoiser's steps on a GPU, whose kernels are launched and recorded once and then played again in one call (CUDA
// graphs): for small models the launches take longer than the kernels.
//
//   StepGraphs graphs(options(), on_remark);                  // on a stream of its own while it lives
//   const StepGraphs::Step step = [&](const std::vector<at::Tensor>& in) { return transformer(in[0], in[1]); };
//   const at::Tensor y = graphs.run(attention, {latents, modulation}, step);
//
// Steps whose attention repeats as the same key (layer_attention.h) are one recording: the first is launched kernel by
// kernel, which also lets libraries choose theirs, the second is recorded, the others are played. The kernels, their
// order and their results are the same, bit for bit. Inputs are copied to where the recording reads them; everything
// else that a step reads has to stay where it is until forget().
//
// Launched kernel by kernel are steps without a key, those of a thread that listens to a WorkClock, and all where
// why_no_graphs() says why. Where a step can't be recorded, on_remark is told once what stood in the way, and all are
// launched. The memory that a step works in is held from the first recording on to the end, beside what steps that are
// launched in between take; where there is too little for both, it is given back, and likewise.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "pipelines/model/layer_attention.h"
#include "pipelines/model/run_options.h"

namespace bitreel {

// Why steps of such a run are not recorded; empty when they are.
std::string why_no_graphs(const RunOptions& options);

class StepGraphs {
 public:
  using Step = std::function<at::Tensor(const std::vector<at::Tensor>& inputs)>;

  // The GPU's current stream waits for this one's work when it ends, as this one has waited for the other's.
  StepGraphs(const RunOptions& options, std::function<void(const std::string&)> on_remark);
  ~StepGraphs();
  StepGraphs(const StepGraphs&) = delete;
  StepGraphs& operator=(const StepGraphs&) = delete;

  // inputs: of the same shapes at every call until forget().
  at::Tensor run(const LayerAttention& attention, const std::vector<at::Tensor>& inputs, const Step& step);
  // Before something that recorded steps read goes or is replaced.
  void forget();

 private:
  struct Recording;

  at::Tensor launched(const std::vector<at::Tensor>& inputs, const Step& step);
  // Launches all from now on.
  void refuse(const std::string& why);

  std::unique_ptr<Recording> recording_;  // none where why_no_graphs()
};

}  // namespace bitreel
