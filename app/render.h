// One clip with nothing left open: the options with every default filled in, and what the rooms below take.
//
//   const Checkpoint checkpoint = Checkpoint::open(model_folder(options));
//   const Render render = resolve_to_video(options, checkpoint);  // throws before any work when something doesn't fit
//   std::cout << to_yaml(render.options);                    // all of it, as --config takes it
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "app/options.h"
#include "pipelines/checkpoint/checkpoint.h"
#include "pipelines/cogvideox/pipeline.h"
#include "pipelines/video/writer.h"

namespace bitreel {

struct Render {
  GenerateOptions options;  // no optional is empty, but crf where the codec's own holds
  CogVideoXConfig config;
  Request request;
  ModelOptions model;
  VideoOptions video;
  std::vector<std::string> warnings;  // what the person should know before the work starts
  std::vector<std::string> unknown;  // settings' keys that provenance leaves out: how other programs' latents were made
};

// The folder that --model names, else the default model of this source tree.
std::filesystem::path model_folder(const GenerateOptions& options);

// Draws the seed when there is none. Errors: UsageError from check().
Render resolve(GenerateOptions options, const Checkpoint& checkpoint);
// The same, and Error when the video or the latents cannot be written where they should be.
Render resolve_to_video(GenerateOptions options, const Checkpoint& checkpoint);

// The dtype that most of the component's bytes are stored in.
at::ScalarType stored_dtype(const Weights& weights);

}  // namespace bitreel
