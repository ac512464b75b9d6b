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
#include "app/peak_memory.h"
#include "app/record.h"
#include "app/render.h"
#include "base/error.h"

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

// A clip's file takes the place of an older one by itself, a folder of pictures doesn't.
void remove_old_pictures(const Task& task, const fs::path& output, const History& history) {
  if (fs::is_directory(output) && history.done(task.job.options.output.string()) != nullptr) fs::remove_all(output);
}

void decode_kept(const Render& render, const LatentsFile& latents, Console& console, const TaskRun& run) {
  const PeakMemory peak(render.model->options().device);
  ClipRecord record = record_of(render, run.models.identity(*render.model));
  record.attention = latents.attention;
  ClipFile file(render, record, console);
  render.model->decode(render.request, latents.latents, file.sink());
  if (!run.keep.contains(Phase::decode)) render.model->release(Phase::decode);
  record.seconds = console.seconds();
  record.peak_host_bytes = PeakMemory::host_bytes();
  record.peak_device_bytes = peak.device_bytes();
  record.events = console.warnings();
  file.finish(record);
  run.on_file();
}

void render_from(const Render& render, const LatentsFile& from, Console& console, const TaskRun& run) {
  const ModelIdentity& identity = run.models.identity(*render.model);
  const Plan plan = resolve_attention(render, identity);
  const PlanProgress before = progress_of(from);
  UnfinishedOnDisk unfinished(render, console, from);
  std::optional<LatentsOnDisk> saved;
  std::optional<ClipFile> file;
  const ClipRecord record =
      run_clip(render, console,
               {.identity = identity,
                .plan = &plan,
                .embeddings = run.embeddings.of(*render.model, render.request, {.keep = run.keep, .ahead = run.ahead}),
                .from = from.unfinished,
                .before = before,
                .keep = run.keep,
                .if_interrupted = "the clip is not denoised to its end; the same command goes on from there",
                .on_step =
                    [&](const StepEvent& event, const ClipRecord& so_far) {
                      const std::int64_t done = event.step.index + 1;
                      if (done < event.step.count) unfinished.keep(event, so_far);
                      run.on_step(done, event.step.count);
                    },
                .on_denoised =
                    [&](const NamedTensors& latents, const ClipRecord& so_far) {
                      saved.emplace(latents, render, so_far, console);
                      unfinished.remove();
                      return file.emplace(render, so_far, console).sink();
                    }});
  file->finish(record);
  run.on_file();
}

}  // namespace

std::vector<std::string> render_task(const Task& task, const fs::path& folder, const TaskRun& run) {
  if (!task.obstacle.empty()) throw Error(task.obstacle);
  const GenerateOptions options = options_in(folder, task);
  for (const fs::path& path : {unfinished_path(options.output), latents_path(options)}) {
    fs::create_directories(path.parent_path());
  }
  remove_old_pictures(task, options.output, run.history);

  Console console(ProgressStyle::silent);
  const Render render = resolve_to_video(options, run.models.open(options));
  for (const std::string& warning : render.warnings) console.warn(warning);
  run.models.use(*render.model);
  const bool is_ours = run.last_begun == task.key;
  if (is_ours) {
    if (const auto latents = kept_in(latents_path(options), render, console); latents && !latents->unfinished) {
      console.warn("denoised by an earlier run, decoded by this one");
      decode_kept(render, *latents, console, run);
      remove_kept_work(task, folder);
      return console.warnings();
    }
  }
  const fs::path unfinished = unfinished_path(options.output);
  std::optional<LatentsFile> from = is_ours ? kept_in(unfinished, render, console) : std::nullopt;
  if (from && from->unfinished) {
    console.warn(fmt::format("taken up again after step {} of {}", from->unfinished->steps_done, from->steps));
  } else {
    fs::remove(unfinished);
    from.reset();
  }
  render_from(render, from.value_or(LatentsFile{}), console, run);
  return console.warnings();
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
