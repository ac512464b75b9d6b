#include "app/batch/render_task.h"

#include <fmt/format.h>

#include <optional>
#include <regex>
#include <utility>

#include "app/attention_plan.h"
#include "app/clip.h"
#include "app/clip_file.h"
#include "app/console.h"
#include "app/files/kept_work.h"
#include "app/files/latents_file.h"
#include "app/forecast.h"
#include "app/peak_memory.h"
#include "app/record.h"
#include "app/render.h"
#include "base/error.h"
#include "pipelines/model/machine_memory.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

// The folder of a batch may have been moved meanwhile.
ordered_json without_paths(ordered_json config) {
  for (const char* path : {"output", "save_latents", "model"}) config.erase(path);
  return config;
}

// A file of this very clip; nothing when there is none, or what is there is of another.
std::optional<LatentsFile> kept_in(const fs::path& path, const Render& render, Console& console) {
  if (!fs::exists(path)) return std::nullopt;
  try {
    LatentsFile file = read_latents(path);
    if (file.config.is_object() && without_paths(file.config) == without_paths(to_json(render.options))) return file;
    console.warn(fmt::format("{} is of another clip: this one begins anew", path.string()));
  } catch (const Error& error) {
    console.warn(fmt::format("this clip begins anew: {}", error.what()));
  }
  return std::nullopt;
}

}  // namespace

struct ClipOfTask::Work {
  Work(const Task& of, const fs::path& in, TaskRun how) : task(of), folder(in), run(std::move(how)) {
    if (!task.obstacle.empty()) throw Error(task.obstacle);
    const GenerateOptions options = options_in(folder, task);
    for (const fs::path& path : {unfinished_path(options.output), latents_path(options)}) {
      fs::create_directories(path.parent_path());
    }
    // A clip's file takes the place of an older one by itself, a folder of pictures doesn't.
    if (run.pictures == NamesPictures::of_an_earlier_job && fs::is_directory(options.output)) {
      fs::remove_all(options.output);
    }
    render = resolve_to_video(options, run.models.open(options));
    for (const std::string& warning : render.warnings) console.warn(warning);
    const std::string too_little = check_memory(render, {Phase::encode, Phase::denoise, Phase::decode},
                                                machine_memory(render.model->options().device));
    if (!too_little.empty()) console.warn(too_little);
    find_kept();
  }

  void find_kept() {
    const bool is_ours = run.last_begun == task.key;
    if (is_ours) {
      denoised = kept_in(latents_path(render.options), render, console);
      if (denoised && denoised->unfinished) denoised.reset();
      if (denoised) {
        console.remember(denoised->events);
        return console.warn("denoised by an earlier run, decoded by this one");
      }
    }
    const fs::path path = unfinished_path(render.options.output);
    std::optional<LatentsFile> kept = is_ours ? kept_in(path, render, console) : std::nullopt;
    if (kept && kept->unfinished) {
      from = std::move(*kept);
      console.remember(from.events);
      console.warn(fmt::format("taken up again after step {} of {}", from.unfinished->steps_done, from.steps));
    } else {
      fs::remove(path);
    }
  }

  void begin() {
    const ModelIdentity& identity = run.models.identity(*render.model);
    plan = resolve_attention(render, identity);
    const PlanProgress before = progress_of(from);
    unfinished.emplace(render, console, from);
    clip.emplace(
        render, console,
        ClipRun{.identity = identity,
                .plan = &*plan,
                .embeddings = run.embeddings.of(*render.model, render.request, {.keep = run.keep, .ahead = run.ahead}),
                .from = from.unfinished,
                .before = before,
                .keep = run.keep,
                .lanes = run.lanes,
                .if_interrupted = "the clip is not denoised to its end; the same command goes on from there",
                .on_step = [this](const StepEvent& event, const ClipRecord& so_far) {
                  const std::int64_t done = event.step.index + 1;
                  if (done < event.step.count) unfinished->keep(event, so_far);
                  run.on_step(done, event.step.count);
                }});
  }

  void decode() {
    std::optional<LatentsOnDisk> saved;  // until the clip has its name; stays when an exception passes
    std::optional<ClipFile> file;
    const ClipRecord record = clip->decode([&](const NamedTensors& latents, const ClipRecord& so_far) {
      saved.emplace(latents, render, so_far, console);
      unfinished->remove();
      return file.emplace(render, so_far, console).sink();
    });
    file->finish(record);
    run.on_file(console.warnings());
  }

  void decode_kept() {
    const PeakMemory peak(render.model->options().device);
    ClipRecord record = record_of(render, run.models.identity(*render.model));
    record.attention = denoised->attention;
    ClipFile file(render, record, console);
    render.model->decode(render.request, denoised->latents, file.sink());
    if (!run.keep.contains(Phase::decode)) render.model->release(Phase::decode);
    record.seconds = console.seconds();
    record.peak_host_bytes = PeakMemory::host_bytes();
    record.peak_device_bytes = peak.device_bytes();
    record.events = console.warnings();
    file.finish(record);
    run.on_file(console.warnings());
    remove_kept_work(task, folder);
  }

  const Task& task;
  fs::path folder;
  TaskRun run;
  Console console{ProgressStyle::silent};
  Render render;
  std::optional<LatentsFile> denoised;  // by an earlier run
  LatentsFile from;                     // else what it left unfinished, if anything
  std::optional<Plan> plan;
  std::optional<UnfinishedOnDisk> unfinished;
  std::optional<RunningClip> clip;
};

ClipOfTask::ClipOfTask(const Task& task, const fs::path& folder, TaskRun run)
    : work_(std::make_unique<Work>(task, folder, std::move(run))) {}
ClipOfTask::~ClipOfTask() = default;

bool ClipOfTask::runs_on_gpu() const {
  return work_->render.model->options().device.is_cuda();
}

bool ClipOfTask::is_denoised() const {
  return work_->denoised.has_value();
}

void ClipOfTask::encode() {
  if (!is_denoised()) work_->begin();
}

void ClipOfTask::finish() {
  if (is_denoised()) return work_->decode_kept();
  work_->decode();
}

const std::vector<std::string>& ClipOfTask::events() const {
  return work_->console.warnings();
}

void denoise(const std::vector<ClipOfTask*>& clips) {
  std::vector<RunningClip*> running;
  for (const ClipOfTask* clip : clips) {
    if (!clip->is_denoised()) running.push_back(&*clip->work_->clip);
  }
  if (!running.empty()) denoise(running);
}

void remove_kept_work(const Task& task, const fs::path& folder) {
  const GenerateOptions options = options_in(folder, task);
  fs::remove(unfinished_path(options.output));
  if (options.save_latents.empty()) fs::remove(latents_path(options));
}

void remove_leftovers(const std::vector<const Task*>& tasks, const fs::path& folder) {
  static const std::regex partial(R"(\.(.+)\.partial-[0-9]+(\..*)?)");
  std::set<fs::path> parents;
  std::set<fs::path> stems;  // as Partial (base/partial.h) makes its names of them
  for (const Task* task : tasks) {
    const GenerateOptions options = options_in(folder, *task);
    const fs::path clip = options.output.has_filename() ? options.output : options.output.parent_path();
    std::vector<fs::path> files = {clip, unfinished_path(clip), latents_path(options)};
    for (const fs::path& file : task->files.all()) files.push_back(folder / file);
    if (!task->files.name.empty()) files.push_back(folder / sidecar_of(task->files));
    for (const fs::path& file : files) {
      parents.insert(file.parent_path());
      stems.insert(file.parent_path() / file.stem());
    }
  }
  for (const fs::path& parent : parents) {
    if (!fs::is_directory(parent)) continue;
    for (const auto& entry : fs::directory_iterator(parent)) {
      std::smatch match;
      const std::string name = entry.path().filename().string();
      if (std::regex_match(name, match, partial) && stems.contains(parent / match[1].str())) fs::remove_all(entry);
    }
  }
}

}  // namespace bitreel
