#include "app/generate.h"

#include <fmt/format.h>

#include <exception>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>

#include "app/attention_plan.h"
#include "app/flags.h"
#include "app/forecast.h"
#include "app/interrupt.h"
#include "app/latents_file.h"
#include "app/render.h"
#include "app/video_output.h"
#include "attention/attention.h"
#include "attention/error.h"
#include "pipelines/video/codecs.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

// "out/clip.mp4" -> "out/clip.latents.safetensors": beside the video, under its name.
fs::path beside(const fs::path& output, const std::string& extension) {
  fs::path path = output.has_filename() ? output : output.parent_path();
  return path.replace_extension(extension);
}

// An interrupt between two steps: what there is goes into a file of its own first.
void stop(const StepEvent& event, const Render& render, const nlohmann::ordered_json& attention, Console& console) {
  const std::int64_t done = event.step.index + 1, count = event.step.count;
  if (done == count) return;  // after the last step all of it is kept anyway
  const fs::path& output = render.options.output;
  const fs::path path = beside(output, fmt::format(".step-{}.safetensors", done));
  write_latents(path, event.latents, render.options, attention, fmt::format("{} of {}", done, count));
  console.say(fmt::format("the latents after step {} of {} are kept; to see how far they are:\n"
                          "  bitreel decode {} --output {}",
                          done, count, path.string(), output.string()),
              "latents_kept", {{"path", path.string()}, {"step", done}});
  check_interrupt("the clip is not denoised to its end, no video was written");
}

// The denoised latents on the disk while their video is not. Without --save-latents the file is only a safety copy.
class LatentsOnDisk {
 public:
  LatentsOnDisk(const at::Tensor& latents, const Render& render, const nlohmann::ordered_json& attention,
                Console& console)
      : path_(render.options.save_latents), output_(render.options.output), console_(console) {
    is_copy_ = path_.empty();
    if (is_copy_) path_ = beside(output_, ".latents.safetensors");
    write_latents(path_, latents, render.options, attention);
  }
  ~LatentsOnDisk() {
    if (std::uncaught_exceptions() > 0) {
      console_.say(fmt::format("the denoised latents are kept; to go on from there:\n  bitreel decode {} --output {}",
                               path_.string(), output_.string()),
                   "latents_kept", {{"path", path_.string()}});
    } else if (is_copy_) {
      std::error_code ignored;  // a copy that stays behind does no harm
      fs::remove(path_, ignored);
    }
  }
  LatentsOnDisk(const LatentsOnDisk&) = delete;
  LatentsOnDisk& operator=(const LatentsOnDisk&) = delete;

 private:
  fs::path path_;
  fs::path output_;
  Console& console_;
  bool is_copy_ = false;
};

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

void generate(const GenerateOptions& options, Console& console) {
  const Checkpoint checkpoint = Checkpoint::open(model_folder(options));
  const Render render = resolve(options, checkpoint);
  const Plan plan = resolve_attention(render, checkpoint);
  PlannedAttention planned(plan, planned_options(render, console));
  on_fallback([&console](const std::string& message) { console.warn(message); });
  Forecast forecast = forecast_of(render, checkpoint);
  forecast.text += fmt::format("\nattention {}: {}", render.options.attention, shares_text(plan));
  forecast.fields["attention"] = {{"requested", render.options.attention}, {"shares", shares_text(plan)}};
  console.say(forecast.text, "plan", forecast.fields);
  for (const std::string& warning : render.warnings) console.warn(warning);

  CogVideoX model(checkpoint, render.model);
  console.begin("text");
  const at::Tensor text = model.encode_text(render.request);
  check_interrupt("nothing is kept, the denoising had not begun");

  console.begin("denoise", render.request.steps);
  const auto on_step = [&](const StepEvent& event) {
    console.count(event.step.count);
    console.step(event.step.index + 1);
    if (interrupt_requested()) stop(event, render, attention_record(render, plan, planned), console);
  };
  const at::Tensor latents = model.denoise(render.request, text, on_step, std::ref(planned));
  const nlohmann::ordered_json attention = attention_record(render, plan, planned);
  const LatentsOnDisk saved(latents, render, attention, console);  // nothing after this line can lose the denoising
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
      std::cout << to_yaml(resolve(options, Checkpoint::open(model_folder(options))).options);
      return;
    }
    watch_interrupts();
    Console console(state->progress);
    generate(options, console);
  });
}

}  // namespace bitreel
