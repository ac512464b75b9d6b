#include "app/commands/generate.h"

#include <fmt/format.h>

#include <iostream>
#include <map>
#include <memory>
#include <optional>

#include "app/attention_plan.h"
#include "app/clip.h"
#include "app/clip_file.h"
#include "app/files/kept_work.h"
#include "app/files/model_identity.h"
#include "app/flags.h"
#include "app/forecast.h"
#include "app/front_door.h"
#include "app/interrupt.h"
#include "app/render.h"
#include "base/error.h"
#include "base/standard_streams.h"
#include "pipelines/model/machine_memory.h"
#include "pipelines/video/codecs.h"

namespace bitreel {
namespace {

struct GenerateCommand {
  std::unique_ptr<Flags> flags;
  std::string config;
  bool print_config = false;
  ProgressStyle progress = ProgressStyle::automatic;
  StartOptions start;

  [[nodiscard]] GenerateOptions options() const {
    GenerateOptions options;
    if (!config.empty()) apply_yaml(options, config);
    flags->apply(options);
    return options;
  }
};

}  // namespace

void generate(const GenerateOptions& options, Console& console, const LatentsFile& from, const StartOptions& start) {
  Render render = resolve_to_video(options);
  if (!start.force) {
    if (!from.unfinished) refuse_kept_work(render.options);
    const std::string warning = check_memory(render, {Phase::encode, Phase::denoise, Phase::decode},
                                             machine_memory(render.model->options().device));
    if (!warning.empty()) render.warnings.push_back(warning);
  }
  need_whole_program();
  watch_interrupts();
  console.remember(from.events);
  const ModelIdentity identity = identify(*render.model);
  check_same_weights(*render.model, identity, from.model, from.path.string());
  warn_of_other_decoder(render.warnings, *render.model, identity, from.model, from.path.string());
  const Plan plan = resolve_attention(render, identity);
  backends_from(render.options.attention_backend).check_used_by(plan.precisions());
  const PlanProgress before = progress_of(from);
  const std::int64_t steps_done = from.unfinished ? from.unfinished->steps_done : 0;
  const Forecast forecast = forecast_of(render, plan, {.steps_done = steps_done});
  console.say(forecast.text, "plan", forecast.fields);
  for (const std::string& warning : render.warnings) console.warn(warning);
  if (from.unfinished) {
    console.warn(fmt::format("taken up again after step {} of {}", steps_done, from.steps));
  }

  UnfinishedOnDisk unfinished(render, console, from);
  std::optional<LatentsOnDisk> saved;
  std::optional<ClipFile> file;
  const ClipRecord record =
      run_clip(render, console,
               {.identity = identity,
                .plan = &plan,
                .from = from.unfinished,
                .before = before,
                .if_interrupted = fmt::format("the {} is not denoised to its end, no {} was written",
                                              render.files.video.empty() ? "run" : "clip",
                                              render.files.video.empty() ? "file" : "video"),
                .on_step =
                    [&](const StepEvent& event, const ClipRecord& so_far) {
                      // After the last step all of it is kept anyway.
                      if (event.step.index + 1 < event.step.count) unfinished.keep(event, so_far);
                    },
                .on_denoised =
                    [&](const NamedTensors& latents, const ClipRecord& so_far) {
                      saved.emplace(latents, render, so_far, console);  // from here on nothing can lose the denoising
                      unfinished.remove();
                      return file.emplace(render, so_far, console).sink();
                    }});
  file->finish(record);
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
  command->add_option("--config", state->config, "YAML file of these flags, with _ for - in their names; flags win")
      ->type_name("FILE");
  command->add_flag("--print-config", state->print_config, "Print the resolved configuration as YAML and stop");
  add_progress_flag(*command, state->progress);
  command->add_flag("--force", state->start.force,
                    "Start over where an earlier run's denoising is kept, and start with too little memory");
  command->footer("Codecs:\n" + describe_codecs());
  command->callback([state] {
    const GenerateOptions options = state->options();
    if (state->print_config) {
      const Render render = resolve_to_video(options);
      resolve_attention(render,
                        identify(*render.model));  // a plan that is none, or of another model, is not worth printing
      print_output(to_yaml(render.options));
      return;
    }
    Console console(state->progress);
    generate(options, console, {}, state->start);
  });
}

}  // namespace bitreel
