// One run with nothing left open: the options with every default filled in, and what the rooms below take.
//
//   GenerateOptions options;
//   options.prompt = "a red circle moves right on a navy background";
//   const Render render = resolve_to_video(options);     // throws before any work when something doesn't fit
//   std::cout << to_yaml(render.options);                // all of it, as --config takes it
//
// Several clips can share one model, which then stays loaded:
//
//   const std::shared_ptr<Pipeline> model = open_model(options);
//   for (const GenerateOptions& clip : clips) run(resolve(clip, model));
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "app/files/output_files.h"
#include "app/options.h"
#include "pipelines/model/pipeline.h"
#include "pipelines/video/writer.h"

namespace bitreel {

struct Render {
  GenerateOptions options;  // no optional is empty, but crf where the codec has none and what the mode has no use for
  std::shared_ptr<Pipeline> model;
  Mode mode;
  bool mode_is_inferred = false;
  Request request;
  OutputFiles files;
  VideoOptions video;                 // of a mode that makes one
  std::string device_note;            // why an automatic choice is not the GPU; empty when it is, or was told
  std::vector<std::string> warnings;  // what the person should know before the work starts
  std::vector<std::string> unknown;  // settings' keys that provenance leaves out: how other programs' latents were made
};

// The folder that --model names, else the default model of this source tree.
std::filesystem::path model_folder(const GenerateOptions& options);

// How these options want a model to run; finds the GPU when it may be one.
RunOptions run_options(const GenerateOptions& options);

// The model of these options: its folder, device, dtype and implementations.
std::shared_ptr<Pipeline> open_model(const GenerateOptions& options);

// Whether a run still needs the prompt or picture that its mode takes: one that is denoised does not.
enum class Inputs { needed, settled };

// Draws the seed when there is none. The model: open_model of these options, or of others that agree with them on it.
// Errors: UsageError for settings that the model refuses or has no use for.
Render resolve(GenerateOptions options, std::shared_ptr<Pipeline> model, Inputs inputs = Inputs::needed);
// The same, and Error when the results or the latents cannot be written where they should be.
Render resolve_to_video(GenerateOptions options, std::shared_ptr<Pipeline> model, Inputs inputs = Inputs::needed);
Render resolve_to_video(const GenerateOptions& options);

// UsageError when one of these settings, by their names, was given a value: they mean nothing to the model.
void refuse_without_meaning(const GenerateOptions& options, const std::vector<std::string>& names,
                            const std::string& model);

}  // namespace bitreel
