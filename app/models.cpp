#include "app/models.h"

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "base/error.h"
#include "pipelines/cogvideox/pipeline.h"
#include "pipelines/unidiffuser/pipeline.h"

namespace bitreel {
namespace {

struct ModelClass {
  std::string_view name;  // model_index.json's _class_name
  std::unique_ptr<Pipeline> (*open)(const Checkpoint& checkpoint, const RunOptions& options);
};

constexpr ModelClass classes[] = {
    {"CogVideoXPipeline", open_cogvideox},
    {"UniDiffuserPipeline", open_unidiffuser},
};

}  // namespace

std::shared_ptr<Pipeline> open_pipeline(const Checkpoint& checkpoint, const RunOptions& options) {
  const std::string wanted = checkpoint.pipeline_class();
  std::string known;
  for (const ModelClass& model : classes) {
    if (model.name == wanted) return model.open(checkpoint, options);
    known += fmt::format("{}{}", known.empty() ? "" : " or ", model.name);
  }
  throw Error(fmt::format("{}: model_index.json says {}, expected {}", checkpoint.folder().string(), wanted, known),
              "the folder is not a checkpoint that this version runs");
}

}  // namespace bitreel
