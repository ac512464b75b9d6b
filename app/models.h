// Which models there are: what opens each class that a checkpoint's model_index.json may name.
//
//   const std::shared_ptr<Pipeline> model = open_pipeline(Checkpoint::open("assets/pocket"), {.dtype = at::kFloat});
//
// The one file of app/ that knows models by name: another one is a folder in pipelines/ and a line in models.cpp.
#pragma once

#include <memory>

#include "pipelines/model/pipeline.h"

namespace bitreel {

// Reads configurations, no weights. Error naming the classes that are known when this one is not.
std::shared_ptr<Pipeline> open_pipeline(const Checkpoint& checkpoint, const RunOptions& options);

}  // namespace bitreel
