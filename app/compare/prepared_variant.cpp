#include "app/compare/prepared_variant.h"

#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <memory>

#include "app/attention_plan.h"
#include "app/model_key.h"
#include "base/error.h"

namespace bitreel {
namespace {

struct OpenModel {
  std::shared_ptr<Pipeline> pipeline;
  ModelIdentity identity;
};

}  // namespace

Render PreparedVariant::render_of(const Comparison& comparison, const ComparisonFolder& folder,
                                  std::size_t prompt) const {
  Render of_prompt = render;
  of_prompt.request.prompt = comparison.prompts[prompt];
  of_prompt.request.seed = comparison.seeds[prompt];
  of_prompt.options.prompt = of_prompt.request.prompt;
  of_prompt.options.seed = of_prompt.request.seed;
  of_prompt.options.output = folder.clip(name, prompt);
  return of_prompt;
}

std::vector<PreparedVariant> prepare_variants(const Comparison& comparison, const ComparisonFolder& folder) {
  std::map<std::string, OpenModel> models;
  std::vector<PreparedVariant> prepared;
  for (const Variant& variant : comparison.variants) {
    GenerateOptions options = variant.options;
    options.prompt = comparison.prompts.front();
    options.seed = comparison.seeds.front();
    options.output = folder.clip(variant.name, 0);
    std::filesystem::create_directories(options.output.parent_path());
    OpenModel& model = models[model_key(options)];
    if (model.pipeline == nullptr) {
      model.pipeline = open_model(options);
      if (model.pipeline->traits().fps == 0) {
        throw UsageError(
            fmt::format("compare takes videos, and a {} makes none", model.pipeline->checkpoint().pipeline_class()),
            "bitreel batch makes pictures in several ways side by side");
      }
      model.identity = identify(*model.pipeline);
    }
    Render render = resolve_to_video(options, model.pipeline);
    Plan plan = resolve_attention(render, model.identity);
    prepared.push_back(
        {.name = variant.name, .render = std::move(render), .identity = model.identity, .plan = std::move(plan)});
  }
  return prepared;
}

}  // namespace bitreel
