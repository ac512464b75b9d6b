// The seam: what every model is behind, so that commands know none of them by name.
//
//   const std::unique_ptr<Pipeline> model = open_cogvideox(Checkpoint::open("assets/pocket"), {});
//   Request request = model->default_request();
//   request.prompt = "a red circle moves right on a navy background";
//   model->check(request);
//   const NamedTensors embeddings = model->encode(request);
//   const NamedTensors latents = model->denoise(request, embeddings);
//   model->decode(request, latents, {.on_frame = [&](const Frame& frame) { video.push(frame); }});
//
// Opening reads configuration files only. The parts of a phase are loaded when it first runs and kept for the next
// request until release(): a single clip that releases each phase after use has the largest phase as its memory peak,
// not the sum; a run over many clips loads what it keeps once.
// A new model is a folder beside this one and a line in app/models.h, which knows all classes of model_index.json.
// Errors: Error for a checkpoint that doesn't fit its configs, UsageError for requests that make no sense.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "pipelines/checkpoint/checkpoint.h"
#include "pipelines/model/cost.h"
#include "pipelines/model/denoising.h"
#include "pipelines/model/modes.h"
#include "pipelines/model/request.h"
#include "pipelines/model/run_options.h"
#include "pipelines/video/frame.h"
#include "schedulers/noise/scheduler.h"

namespace bitreel {

// A folder of the checkpoint.
struct Component {
  std::string name;              // as model_index.json names it
  std::set<Phase> weights = {};  // the phases that load its weights, in some mode; none when it has none
};

// What a checkpoint folder is.
struct PipelineTraits {
  std::vector<Mode> modes;                // the default one first
  std::vector<Component> components;      // in the order in which they work
  std::string denoiser;                   // the component whose layers a precision plan is for
  std::int64_t layers = 0;                // of it, that attend
  double fps = 0;                         // frames a second as trained; 0 when no mode makes video
  std::vector<SchedulerKind> schedulers;  // those that it can run with
  std::vector<std::string> not_settings;  // settings that mean nothing to it, by their names on the command line
  bool records_steps = false;             // on a GPU, as step_graphs.h says
  bool concurrent = false;                // phases may run on several threads at once; release() never beside them
};

// Where results go. A call that a mode's media need must be there; pictures and texts come sample by sample, in order.
struct DecodeSink {
  std::function<void(const Frame&)> on_frame = {};  // of the video, in order
  std::function<void(const Frame&)> on_image = {};
  std::function<void(const std::string&)> on_text = {};
  std::function<void(const std::string&)> on_remark = {};  // what a person should know of a result; may be empty
};

class Pipeline {
 public:
  // options.dtype: filled in.
  Pipeline(Checkpoint checkpoint, RunOptions options, PipelineTraits traits)
      : checkpoint_(std::move(checkpoint)), options_(std::move(options)), traits_(std::move(traits)) {}
  virtual ~Pipeline() = default;
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  [[nodiscard]] const Checkpoint& checkpoint() const { return checkpoint_; }
  [[nodiscard]] const RunOptions& options() const { return options_; }
  [[nodiscard]] at::ScalarType dtype() const { return options_.dtype.value(); }
  [[nodiscard]] const PipelineTraits& traits() const { return traits_; }

  // As the peer would choose, of the first mode; without its inputs.
  [[nodiscard]] virtual Request default_request() const = 0;
  // The default one of the mode, size, length and count that these latents have.
  [[nodiscard]] virtual Request request_of(const NamedTensors& latents) const = 0;
  virtual void check(const Request& request) const = 0;
  // What a person should know before the work starts, a sentence each: a prompt whose end is ignored.
  [[nodiscard]] virtual std::vector<std::string> remarks(const Request& request) const = 0;
  // The training timesteps that the denoising visits, first to last; their number may differ from request.steps, and
  // cost().rounds says how often they are gone through.
  [[nodiscard]] virtual std::vector<std::int64_t> timesteps(const Request& request) const = 0;
  [[nodiscard]] virtual LatentShapes latent_shapes(const Request& request) const = 0;
  [[nodiscard]] virtual Cost cost(const Request& request) const = 0;
  // What runs between matrix products where fused was asked for.
  [[nodiscard]] virtual Elementwise elementwise() const = 0;

  // What denoise() takes: text or images, as the denoiser wants them.
  virtual NamedTensors encode(const Request& request) = 0;
  // The final latents in the model's dtype, as the peer returns for output_type="latent". Error naming the step when
  // they stop being finite.
  virtual NamedTensors denoise(const Request& request, const NamedTensors& embeddings,
                               const DenoiseOptions& options = {}) = 0;
  // Whether one batch of the denoiser can hold both: of equal shape and timesteps, with or without guidance.
  [[nodiscard]] virtual bool shares_batch(const Request& /*a*/, const Request& /*b*/) const { return false; }
  // Several at once, each as denoise() gives it: requests that share a batch within 1e-4 of the largest latent in fp32
  // (in quantized attention a last bit may tip an integer, and the clip differs as by quantizing), others one after the
  // other. Each attends as its own options say; one that goes on from a later step joins there. A step's callbacks come
  // in the clips' order. An exception, whosever it is, ends all.
  virtual std::vector<NamedTensors> denoise_together(const std::vector<Denoising>& clips);
  virtual void decode(const Request& request, const NamedTensors& latents, const DecodeSink& sink) = 0;

  // Lets go of the phase's parts; running it again loads them again.
  virtual void release(Phase phase) = 0;

 private:
  Checkpoint checkpoint_;
  RunOptions options_;
  PipelineTraits traits_;
};

// What a model's folder gives to the table of app/models.h.
using OpenPipeline = std::unique_ptr<Pipeline>(const Checkpoint& checkpoint, const RunOptions& options);

}  // namespace bitreel
