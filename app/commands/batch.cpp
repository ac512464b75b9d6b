#include "app/commands/batch.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/attention_plan.h"
#include "app/batch/agenda.h"
#include "app/batch/batch_run.h"
#include "app/batch/jobs_file.h"
#include "app/batch/lanes.h"
#include "app/batch/ledger.h"
#include "app/batch/model_pool.h"
#include "app/batch/results.h"
#include "app/batch/shard.h"
#include "app/commands/generate.h"
#include "app/console.h"
#include "app/forecast.h"
#include "app/front_door.h"
#include "app/interrupt.h"
#include "app/model_key.h"
#include "app/render.h"
#include "base/error.h"
#include "base/number_text.h"
#include "base/printable.h"
#include "base/standard_streams.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

struct BatchCommand {
  fs::path file;
  fs::path output;
  std::string shard;
  int retries = 0;
  std::string parallel = "auto", batch_size = "auto";
  bool dry_run = false;
  bool print_config = false;
  bool collect = false;
  ProgressStyle progress = ProgressStyle::automatic;
};

// "48x32, 17 frames"; of a text, which has no size, the mode.
std::string size_text(const GenerateOptions& options) {
  if (!options.width || !options.height) return options.mode.empty() ? "no size" : options.mode;
  const std::string frames = options.num_frames ? fmt::format(", {} frames", *options.num_frames) : "";
  return fmt::format("{}x{}{}", *options.width, *options.height, frames);
}

struct Estimate {
  double seconds = 0;  // of denoising; 0 on a GPU, which is not guessed
  double bytes = 0;
};

// Each kind of clip is measured once: seeds and prompts cost nothing.
class Estimates {
 public:
  explicit Estimates(ModelPool& models) : models_(models) {}

  Estimate of(const Task& task) {
    if (!task.obstacle.empty()) return {};
    nlohmann::ordered_json kind = to_json(task.job.options);
    for (const char* same : {"prompt", "negative_prompt", "seed", "output", "save_latents", "codec", "crf", "fps"}) {
      kind.erase(same);
    }
    const auto [known, is_new] = known_.try_emplace(kind.dump());
    if (is_new) {
      const Render render = resolve(task.job.options, models_.open(task.job.options));
      const Forecast forecast = forecast_of(render, resolve_attention(render, models_.identity(*render.model)), {});
      known->second = {.seconds = forecast.fields.value("expected_denoise_seconds", 0.0),
                       .bytes = forecast.fields.at("expected_memory_bytes").get<double>()};
    }
    return known->second;
  }

 private:
  ModelPool& models_;
  std::map<std::string, Estimate> known_;
};

// "auto" or a number from 1.
std::optional<std::size_t> count_asked_for(const char* flag, const std::string& text) {
  if (text == "auto") return std::nullopt;
  const std::optional<std::size_t> count = number_from<std::size_t>(text);
  constexpr std::size_t most = 1024;
  if (!count || *count < 1 || *count > most)
    throw UsageError(fmt::format("{} {}, expected auto or a number from 1 to {}", flag, text, most));
  return count;
}

LanesAsked lanes_asked_for(const BatchCommand& command) {
  return {.count = count_asked_for("--parallel", command.parallel),
          .batch_size = count_asked_for("--batch-size", command.batch_size)};
}

void show_dry_run(const std::vector<Task>& tasks, ModelPool& models, const BatchCommand& command, Shard shard) {
  const History history(read_ledgers(command.output).lines);
  Estimates estimates(models);
  double seconds = 0, bytes = 0;
  std::size_t to_do = 0;
  std::string text;
  std::map<std::string, std::vector<const Task*>> of_model;
  const std::vector<const Task*> own = tasks_of(tasks, shard);
  for (const Task* task : own) {
    const GenerateOptions& o = task->job.options;
    const bool done = is_done(*task, command.output, history);
    const Estimate estimate = estimates.of(*task);
    text += fmt::format(
        "{:>5}  {}  {}  {}, {} steps, {}, seed {}  {}\n", task->job.index, task->job.name, o.output.string(),
        size_text(o), o.steps.value_or(0), o.attention, o.seed.value_or(0),
        done ? "done"
        : !task->obstacle.empty()
            ? "can't be rendered: " + task->obstacle
            : fmt::format("{}, {}",
                          estimate.seconds > 0 ? "about " + duration_text(estimate.seconds) : "no guess of the time",
                          bytes_text(estimate.bytes)));
    if (done) continue;
    ++to_do;
    seconds += estimate.seconds;
    bytes = std::max(bytes, estimate.bytes);
    if (task->obstacle.empty()) of_model[model_key(task->job.options)].push_back(task);
  }
  for (const auto& [model, clips] : of_model) {
    const Pipeline& pipeline = *models.open(clips.front()->job.options);
    const Lanes lanes = lanes_of(clips, pipeline, lanes_asked_for(command));
    const std::string how = text_of(lanes);
    if (how.empty()) continue;
    bytes = std::max(bytes, lanes.bytes);
    text += fmt::format("{} clips of {}, {}{}\n", clips.size(), pipeline.checkpoint().folder().string(), how,
                        lanes.remark.empty() ? "" : ": " + lanes.remark);
  }
  text += fmt::format(
      "{} jobs{}, {} to do: {} to denoise when nothing else runs, about {} of memory at the peak\n", own.size(),
      shard.count > 1 ? fmt::format(" of {} (shard {}/{})", tasks.size(), shard.number, shard.count) : "", to_do,
      seconds > 0 ? "roughly " + duration_text(seconds) : "no guess of the time", bytes_text(bytes));
  print_output(printable_lines(text));
}

// Jobs that are not done, named; a long list is cut, results.json has all of it.
std::string names_of_missing(const std::vector<JobResult>& results) {
  constexpr int most = 20;
  std::string text;
  int count = 0;
  for (const JobResult& result : results) {
    if (result.outcome == JobOutcome::done || result.outcome == JobOutcome::skipped) continue;
    if (++count > most) continue;
    text += fmt::format("\n  {} {} ({}): {}", result.index, result.name, result.output,
                        result.outcome == JobOutcome::failed ? "failed: " + result.error : "missing");
  }
  if (count > most) text += fmt::format("\n  and {} more", count - most);
  return text;
}

void finish(const std::vector<JobResult>& results, const fs::path& report, Console& console) {
  const JobCounts counts = counts_of(results);
  console.say(fmt::format("{} done, {} done by an earlier run, {} failed{}{}", counts.done, counts.skipped,
                          counts.failed, counts.missing > 0 ? fmt::format(", {} missing", counts.missing) : "",
                          report.empty() ? "" : "\n" + report.string()),
              "done",
              {{"done", counts.done},
               {"skipped", counts.skipped},
               {"failed", counts.failed},
               {"missing", counts.missing},
               {"report", report.string()}});
  if (counts.failed + counts.missing == 0) return;
  throw Error(fmt::format("{} of {} jobs are not done:{}", counts.failed + counts.missing, results.size(),
                          names_of_missing(results)),
              "the same command runs them again, and leaves what is done");
}

void run(const BatchCommand& command) {
  if (command.output.empty() && !command.print_config) {
    throw UsageError("batch needs a folder for its clips", "--output out/batch");
  }
  if (command.retries < 0) throw UsageError(fmt::format("--retries {}, expected 0 or more", command.retries));
  if (command.collect && !command.shard.empty()) {
    throw UsageError("--collect is for all shards together", "leave --shard out");
  }
  (void)lanes_asked_for(command);
  const Shard shard = command.collect ? Shard{} : shard_asked_for(command.shard);
  ModelPool models;
  const fs::path folder = command.output.empty() ? fs::path(".") : command.output;
  const std::vector<Task> tasks = agenda_of(read_jobs(command.file), folder, models);
  if (command.print_config) {
    std::vector<Job> jobs;
    for (const Task& task : tasks) {
      jobs.push_back(task.job);
      jobs.back().options = task.asked;
    }
    print_output(jobs_yaml(jobs));
    return;
  }
  if (command.dry_run) return show_dry_run(tasks, models, command, shard);
  need_whole_program();
  Console console(command.progress);
  if (command.collect) {
    const std::vector<JobResult> results = collect(tasks, command.output, console);
    write_results(command.output, results);
    return finish(results, command.output / "index.html", console);
  }
  watch_interrupts();
  const std::vector<JobResult> results = run_batch(
      tasks, models,
      {.folder = command.output, .shard = shard, .retries = command.retries, .lanes = lanes_asked_for(command)},
      console);
  finish(results, shard.count == 1 ? command.output / "index.html" : fs::path(), console);
}

}  // namespace

void add_batch(CLI::App& app) {
  CLI::App* command = app.add_subcommand("batch", "Many clips from a YAML file, resumable, on one machine or several");
  auto state = std::make_shared<BatchCommand>();
  command->add_option("file", state->file, "YAML: defaults, jobs, prompts_file, output")->required()->type_name("FILE");
  command->add_option("--output,-o", state->output, "The folder for clips, ledger, results.json and index.html")
      ->type_name("DIR");
  command->add_flag("--dry-run", state->dry_run, "Print the jobs with times and memory, and stop");
  command->add_flag("--print-config", state->print_config, "Print every job with every setting as YAML, and stop");
  command->add_option("--retries", state->retries, "Run what failed again, up to so many times")->type_name("INT");
  command
      ->add_option(
          "--parallel", state->parallel,
          "Clips made side by side, which share the cores out: auto is one for each core of a CPU and two on a "
          "GPU, as far as memory allows")
      ->type_name("auto|INT");
  command
      ->add_option("--batch-size", state->batch_size,
                   "Clips of equal shape in one batch of the transformer: auto is 1 on a CPU, up to 8 on a GPU; equal "
                   "to clips made alone but for rounding")
      ->type_name("auto|INT");
  command
      ->add_option("--shard", state->shard,
                   "Only the K-th of N parts of about the same work; without it, what SLURM_ARRAY_TASK_ID or "
                   "JOB_COMPLETION_INDEX say")
      ->type_name("K/N");
  command->add_flag("--collect", state->collect,
                    "Make one result of what all shards have done, and name what is missing");
  add_progress_flag(*command, state->progress);
  command->callback([state] { run(*state); });
}

}  // namespace bitreel
