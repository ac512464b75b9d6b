#include "app/commands/calibrate.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "app/assets.h"
#include "app/attention_plan.h"
#include "app/clip.h"
#include "app/commands/generate.h"
#include "app/commands/plan.h"
#include "app/console.h"
#include "app/cpu_clock.h"
#include "app/files/prompts_file.h"
#include "app/flags.h"
#include "app/front_door.h"
#include "app/interrupt.h"
#include "app/render.h"
#include "base/error.h"
#include "base/written_file.h"
#include "pipelines/model/calibrating_attention.h"
#include "pipelines/model/device.h"
#include "schedulers/precision/attention_choice.h"
#include "schedulers/precision/measurement_file.h"
#include "schedulers/precision/ranges.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

const std::set<std::string> flags_of_calibrate = {"mode",
                                                  "negative-prompt",
                                                  "width",
                                                  "height",
                                                  "num-frames",
                                                  "steps",
                                                  "guidance-scale",
                                                  "dynamic-cfg",
                                                  "model",
                                                  "dtype",
                                                  "device",
                                                  "scheduler",
                                                  "attention-backend",
                                                  "elementwise",
                                                  "seed"};

struct CalibrateCommand {
  std::unique_ptr<Flags> flags;
  fs::path prompts;  // assets/prompts/calibration-16.json when empty
  fs::path output;
  fs::path plan;  // made from the measurement; beside it, with the extension .yaml, when empty
  std::string precisions = "int8,int4";
  std::string heads, layers, steps;  // sampled ones as ranges, 0-3+7; all when empty
  ProgressStyle progress = ProgressStyle::automatic;
};

std::vector<Precision> precisions_from(const std::string& text) {
  std::vector<Precision> precisions;
  for (const std::string_view name : split(text, ',')) {
    const Precision precision = parse_precision(name, "--precisions");
    if (precision == Precision::full) {
      throw UsageError("--precisions names full, which is what the others are measured against", "leave it out");
    }
    if (std::ranges::find(precisions, precision) != precisions.end()) {
      throw UsageError(fmt::format("--precisions names {} twice", name_of(precision)));
    }
    precisions.push_back(precision);
  }
  return precisions;
}

// "0-3+7" of `count`; all of them when empty.
std::vector<std::int64_t> sampled_from(const std::string& text, const std::string& flag, std::string_view what,
                                       std::int64_t count) {
  std::set<std::int64_t> numbers;
  const std::string all = fmt::format("0-{}", count - 1);
  for (const std::string_view part : split(text.empty() ? all : text, '+')) {
    const Range range = range_from(part, flag);
    check_within(range, what, count, flag);
    for (std::int64_t i = range.first; i <= range.last; ++i) numbers.insert(i);
  }
  return {numbers.begin(), numbers.end()};
}

std::string device_text(const at::Device& device) {
  return device.is_cpu() ? fmt::format("{}, {} threads", cpu_name(), at::get_num_threads()) : cuda_device_name();
}

MeasurementDesign design_of(const CalibrateCommand& command, const Render& render, const ModelIdentity& identity) {
  const Cost cost = render.model->cost(render.request);
  MeasurementDesign design =
      MeasurementDesign::whole(target_of(render, identity), device_text(render.model->options().device), cost.attention,
                               precisions_from(command.precisions));
  const auto steps = static_cast<std::int64_t>(design.made_for.steps());
  design.heads = sampled_from(command.heads, "--heads", "heads", cost.attention.heads);
  design.layers = sampled_from(command.layers, "--layers", "layers", cost.layers);
  design.steps = sampled_from(command.steps, "--sample-steps", "steps", steps);
  return design;
}

// A new one, or what the output file holds so far.
Measurement measurement_at(const fs::path& output, const MeasurementDesign& design, Console& console) {
  if (!fs::exists(output)) return Measurement(design);
  Measurement begun = read_measurement(output);
  if (begun.design() != design) {
    throw Error(fmt::format("{} holds a measurement of another model, device, shape, sample or set of precisions",
                            output.string()),
                "choose another --output, or delete the file");
  }
  console.say(fmt::format("going on after {} prompts in {}", begun.prompts().size(), output.string()), "resumed",
              {{"prompts", begun.prompts().size()}});
  return begun;
}

// Empty: inferred from the prompts that calibrate has. Unknown names are told when the clip is resolved.
void check_takes_prompts(const std::string& name, const std::vector<Mode>& modes) {
  const auto mode = std::ranges::find(modes, name, &Mode::name);
  if (mode == modes.end() || mode->takes == Medium::text) return;
  throw UsageError(fmt::format("calibrate measures on prompts, and mode {} takes none", name),
                   "leave out --mode: a plan serves every mode of its model");
}

void calibrate(const CalibrateCommand& command) {
  if (command.output.empty()) throw UsageError("calibrate needs a file to write", "--output MEASURED.json");
  const fs::path plan = command.plan.empty() ? fs::path(command.output).replace_extension(".yaml") : command.plan;
  if (plan == command.output) throw UsageError(fmt::format("measurement and plan are both {}", plan.string()));
  check_can_write(command.output);
  check_can_write(plan);
  const fs::path file = command.prompts.empty() ? asset("assets/prompts/calibration-16.json") : command.prompts;
  const std::vector<std::string> prompts = read_prompts(file);
  GenerateOptions options;
  command.flags->apply(options);
  options.prompt = prompts.front();
  const std::uint64_t first_seed = options.seed.value_or(1000);  // prompt i gets seed first_seed + i
  options.seed = first_seed;
  std::shared_ptr<Pipeline> model = open_model(options);
  check_takes_prompts(options.mode, model->traits().modes);
  Render render = resolve(options, std::move(model));
  need_whole_program();
  const ModelIdentity identity = identify(*render.model);
  const MeasurementDesign design = design_of(command, render, identity);

  watch_interrupts();
  Console console(command.progress);
  AttendReport attended = fallback_warnings(console);
  Measurement measurement = measurement_at(command.output, design, console);
  console.say(fmt::format("{} prompts, {} steps, {} of {} layers, {} precisions: {} cells a prompt, on {}",
                          prompts.size(), design.made_for.steps(), design.layers.size(), design.made_for.layers,
                          design.precisions.size(), design.cells(), design.device),
              "plan", {{"prompts", prompts.size()}, {"cells", design.cells()}});
  std::vector<MeasuredPrompt> left;
  std::vector<Request> requests;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const MeasuredPrompt prompt{.text = prompts[i], .seed = first_seed + i};
    if (measurement.has(prompt)) continue;
    left.push_back(prompt);
    requests.push_back(render.request);
    requests.back().prompt = prompt.text;
    requests.back().seed = prompt.seed;
  }
  const auto if_interrupted = [&] {
    return fmt::format("{} holds {} prompts; the same command goes on after them", command.output.string(),
                       measurement.prompts().size());
  };
  const std::vector<NamedTensors> embeddings = encode_all(*render.model, requests, console, if_interrupted());
  for (std::size_t i = 0; i < left.size(); ++i) {
    render.request = requests[i];
    CalibratingAttention calibrating(
        design, left[i], {.backends = backends_from(render.options.attention_backend), .report = &attended});
    run_clip(render, console,
             {.identity = identity,
              .attention = std::ref(calibrating),
              .embeddings = embeddings[i],
              .keep = {Phase::denoise},
              .name = fmt::format("prompt {}/{}", left[i].seed - first_seed + 1, prompts.size()),
              .if_interrupted = if_interrupted()});
    measurement.add(calibrating.errors());
    for (const auto& [precision, seconds] : calibrating.timings()) measurement.add_seconds(precision, seconds);
    write_whole(command.output, to_json(measurement));
  }
  console.end();
  console.say(run_plan({.measurements = {command.output}, .output = plan}), "done",
              {{"output", command.output.string()}, {"plan", plan.string()}});
}

}  // namespace

void add_calibrate(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("calibrate", "Measure what each precision costs and saves, layer by layer and step by step");
  auto state = std::make_shared<CalibrateCommand>();
  command->add_option("--output,-o", state->output, "The measurement; goes on where it stopped when it exists")
      ->type_name("MEASURED.json");
  command->add_option("--plan", state->plan, "The plan made from it, as bitreel plan does [MEASURED.yaml]")
      ->type_name("PLAN.yaml");
  command
      ->add_option("--prompts", state->prompts,
                   "JSON list of prompts, or text with one a line; 16 of the default model's")
      ->type_name("FILE");
  command->add_option("--precisions", state->precisions, "Candidates, separated by commas [int8,int4]")
      ->type_name("LIST");
  command->add_option("--heads", state->heads, "Heads to compare, such as 0-3+7; all when absent")->type_name("RANGES");
  command->add_option("--layers", state->layers, "Layers to compare; all when absent")->type_name("RANGES");
  command->add_option("--sample-steps", state->steps, "Steps to compare; all when absent")->type_name("RANGES");
  state->flags = std::make_unique<Flags>(
      *command, [](const Setting& setting) { return flags_of_calibrate.contains(setting.name); });
  add_progress_flag(*command, state->progress);
  command->callback([state] { calibrate(*state); });
}

}  // namespace bitreel
