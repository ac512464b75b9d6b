// Which models there are: what opens each class that a checkpoint's model_index.json may name.
//
//   const std::shared_ptr<Pipeline> model = open_pipeline(Checkpoint::open("assets/pocket"), {.dtype = at::kFloat});
//
// The one file of app/ that knows models by name: another one is a folder in pipelines/ and a line below.
#pragma once

#include <memory>

#include "pipelines/model/pipeline.h"

// model_index.json's _class_name, and what opens such a checkpoint: a function that the model's folder defines.
// clang-format off
#define BITREEL_MODELS(row)              \
  row(CogVideoXPipeline, open_cogvideox) \
  row(UniDiffuserPipeline, open_unidiffuser)
// clang-format on

namespace bitreel {

#define BITREEL_DECLARE(name, open) OpenPipeline open;
BITREEL_MODELS(BITREEL_DECLARE)
#undef BITREEL_DECLARE

// Reads configurations, no weights. Error naming the classes that are known when this one is not.
std::shared_ptr<Pipeline> open_pipeline(const Checkpoint& checkpoint, const RunOptions& options);

}  // namespace bitreel
