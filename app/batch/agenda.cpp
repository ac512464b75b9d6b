#include "app/batch/agenda.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "app/attention_plan.h"
#include "app/batch/job_key.h"
#include "app/batch/output_names.h"
#include "app/flag_names.h"
#include "app/render.h"
#include "attention/attention.h"
#include "base/error.h"
#include "pipelines/video/codecs.h"
#include "pipelines/video/output.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

TaskCost cost_of(const Render& render) {
  const Cost cost = render.model->cost(render.request);
  const bool parts_take_turns = render.model->options().offload == Offload::model;
  const auto flop = [](const PhaseCost& phase) { return phase.product_flop + phase.attention_flop; };
  TaskCost all{.flop = flop(cost.denoise) * static_cast<double>(render.request.steps * cost.rounds)};
  for (const PhaseCost* phase : {&cost.encode, &cost.denoise, &cost.decode}) {
    if (phase != &cost.denoise) all.flop += flop(*phase);
    all.peak_bytes = std::max(all.peak_bytes, phase->bytes());
    all.weight_bytes =
        parts_take_turns ? std::max(all.weight_bytes, phase->weight_bytes) : all.weight_bytes + phase->weight_bytes;
    all.activation_bytes = std::max(all.activation_bytes, phase->activation_bytes);
  }
  return all;
}

// Of a file, or of all files in a folder of pictures; 0 when there is none.
std::uintmax_t bytes_of_clip(const fs::path& clip) {
  std::error_code failed;
  if (!fs::is_directory(clip, failed)) {
    const std::uintmax_t bytes = fs::file_size(clip, failed);
    return failed ? 0 : bytes;
  }
  std::uintmax_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(clip, failed)) {
    if (entry.is_regular_file(failed)) bytes += entry.file_size(failed);
  }
  return bytes;
}

// Names need resolved settings, keys need names resolved or not: so names come between.
void resolve_task(Task& task, ModelPool& models) {
  GenerateOptions given = task.job.options;
  const bool has_default_name = given.output == default_output_template;
  if (has_default_name) given.output.clear();  // its extension is that of what the mode makes
  Render render = resolve(given, models.open(given));
  if (has_default_name)
    render.options.output = fs::path(default_output_template).replace_extension(default_extension(render.mode));
  task.asked = render.options;
  task.asked.device = task.job.options.device;
  task.asked.dtype = task.job.options.dtype;
  task.job.options = render.options;
  task.cost = cost_of(render);
  const Plan plan = resolve_attention(render, models.identity(*render.model));
  backends_from(render.options.attention_backend).check_used_by(plan.precisions());
  task.key = job_key(task.asked, models.content(*render.model));
  task.mode = render.mode;
  task.samples = render.request.count;
}

}  // namespace

std::vector<Task> agenda_of(std::vector<Job> jobs, const fs::path& folder, ModelPool& models) {
  std::vector<Task> tasks;
  tasks.reserve(jobs.size());
  for (Job& job : jobs) {
    Task& task = tasks.emplace_back(
        Task{.job = job, .asked = job.options, .key = {}, .mode = {}, .files = {}, .cost = {}, .obstacle = {}});
    try {
      resolve_task(task, models);
    } catch (const UsageError& error) {
      throw UsageError(fmt::format("{}: {}", job.where, error.what()), error.hint());
    } catch (const Error& error) {
      task.obstacle = with_flags(error.what());
      task.key = job_key(task.asked, "cannot be read");
    }
    job.options = task.job.options;
  }
  name_outputs(jobs, folder);
  for (Task& task : tasks) {
    Job& job = jobs[task.job.index];
    for (GenerateOptions* options : {&task.job.options, &task.asked}) {
      options->output = job.options.output;
      options->save_latents = job.options.save_latents;
    }
    task.files = output_files(job.options.output, task.mode, task.samples);
    if (task.files.video.empty()) continue;
    try {
      choose_codec(job.options.output, job.options.codec);
    } catch (const UsageError& error) {
      throw UsageError(fmt::format("{}: {}", job.where, error.what()), error.hint());
    }
  }
  return tasks;
}

bool is_done(const Task& task, const fs::path& folder, const History& history) {
  const std::string output = task.job.options.output.string();
  const LedgerLine* done = history.done(output);
  return done != nullptr && done->key == task.key && done->bytes > 0 && written_bytes(task, folder) == done->bytes;
}

GenerateOptions options_in(const fs::path& folder, const Task& task) {
  GenerateOptions options = task.job.options;
  options.output = folder / options.output;
  if (!options.save_latents.empty()) options.save_latents = folder / options.save_latents;
  return options;
}

std::uintmax_t written_bytes(const Task& task, const fs::path& folder) {
  std::uintmax_t all = 0;
  for (const fs::path& file : task.files.all()) {
    const std::uintmax_t bytes = bytes_of_clip(folder / file);
    if (bytes == 0) return 0;
    all += bytes;
  }
  return all;
}

}  // namespace bitreel
