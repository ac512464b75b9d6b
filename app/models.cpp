#include "app/models.h"

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "base/error.h"

namespace bitreel {
namespace {

struct ModelClass {
  std::string_view name;
  OpenPipeline* open;
};

#define BITREEL_ROW(name, open) {#name, open},
constexpr ModelClass classes[] = {BITREEL_MODELS(BITREEL_ROW)};
#undef BITREEL_ROW

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
