#include "app/commands/generate.h"

#include <fmt/format.h>

#include <iostream>
#include <map>
#include <memory>

#include "app/attention_plan.h"
#include "app/files/kept_work.h"
#include "app/flags.h"
#include "app/forecast.h"
#include "app/interrupt.h"
#include "app/render.h"
#include "app/video_output.h"
#include "base/error.h"
#include "pipelines/video/codecs.h"

namespace bitreel {
namespace {

struct GenerateCommand {
  std::unique_ptr<Flags> flags;
  std::string config;
  bool print_config = false;
  ProgressStyle progress = ProgressStyle::automatic;

  [[nodiscard]] GenerateOptions options() const {
    GenerateOptions options;
    if (!config.empty()) apply_yaml(options, config);
    flags->apply(options);
    if (!options.prompt) throw UsageError("generate needs a prompt", "--prompt \"a red circle moves right\"");
    return options;
  }
};

}  // namespace

void generate(const GenerateOptions& options, Console& console, const LatentsFile& from) {
  const Checkpoint checkpoint = Checkpoint::open(model_folder(options));
  const Render render = resolve_to_video(options, checkpoint);
  const Plan plan = resolve_attention(render, checkpoint);
  PlannedAttention planned(plan, planned_options(render, console), progress_of(from));
  const FallbackWarnings fallbacks(console);
  const std::int64_t steps_done = from.unfinished ? from.unfinished->steps_done : 0;
  Forecast forecast = forecast_of(render, checkpoint, {.steps_done = steps_done});
  forecast.text += fmt::format("\nattention {}: {}", render.options.attention, shares_text(plan));
  forecast.fields["attention"] = {{"requested", render.options.attention}, {"shares", shares_text(plan)}};
  console.say(forecast.text, "plan", forecast.fields);
  for (const std::string& warning : render.warnings) console.warn(warning);
  if (from.unfinished) {
    console.warn(fmt::format("taken up again after step {} of {}", steps_done, from.steps));
  }

  CogVideoX model(checkpoint, render.model);
  UnfinishedOnDisk unfinished(render, console, from);
  console.begin("text");
  const at::Tensor text = model.encode_text(render.request);
  check_interrupt("no step was denoised");

  console.begin("denoise", render.request.steps, steps_done);
  const auto on_step = [&](const StepEvent& event) {
    if (event.step.index + 1 < event.step.count) {  // after the last step all of it is kept anyway
      unfinished.keep(event, attention_record(render, plan, planned));
      check_interrupt("the clip is not denoised to its end, no video was written");
    }
    console.count(event.step.count);
    console.step(event.step.index + 1);
  };
  const at::Tensor latents = model.denoise(render.request, text, on_step, std::ref(planned), from.unfinished);
  const nlohmann::ordered_json attention = attention_record(render, plan, planned);
  const LatentsOnDisk saved(latents, render, attention, console);  // nothing after this line can lose the denoising
  unfinished.remove();
  deliver(model, latents, render, checkpoint, attention, console);
}

void add_progress_flag(CLI::App& command, ProgressStyle& style) {
  const auto choose = [&style](const std::string& text) {
    const std::map<std::string, ProgressStyle> styles = {{"auto", ProgressStyle::automatic},
                                                         {"terminal", ProgressStyle::terminal},
                                                         {"plain", ProgressStyle::plain},
                                                         {"json", ProgressStyle::json}};
    const auto found = styles.find(text);
    if (found == styles.end()) {
      throw UsageError(fmt::format("--progress is \"{}\", expected auto, terminal, plain or json", text));
    }
    style = found->second;
  };
  command
      .add_option_function<std::string>("--progress", choose,
                                        "auto, terminal, plain, or json: one event a line on stdout")
      ->type_name("STYLE");
}

void add_generate(CLI::App& app) {
  CLI::App* command = app.add_subcommand("generate", "One prompt, one video");
  auto state = std::make_shared<GenerateCommand>();
  state->flags = std::make_unique<Flags>(*command, [](const Setting&) { return true; });
  command->add_option("--config", state->config, "YAML file of the flags above, with _ for - in their names; flags win")
      ->type_name("FILE");
  command->add_flag("--print-config", state->print_config, "Print the resolved configuration as YAML and stop");
  add_progress_flag(*command, state->progress);
  command->footer("Codecs:\n" + describe_codecs());
  command->callback([state] {
    const GenerateOptions options = state->options();
    if (state->print_config) {
      const Checkpoint checkpoint = Checkpoint::open(model_folder(options));
      const Render render = resolve_to_video(options, checkpoint);
      resolve_attention(render, checkpoint);  // a plan that is none, or of another model, is not worth printing
      std::cout << to_yaml(render.options);
      return;
    }
    watch_interrupts();
    Console console(state->progress);
    generate(options, console);
  });
}

}  // namespace bitreel
