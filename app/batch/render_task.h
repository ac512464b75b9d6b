// One clip of a batch, from whatever an earlier run has left of it to the file under its name.
//
//   const std::vector<std::string> events = render_task(task, "out", run);
//
// As bitreel generate renders it, and bit for bit what that computes. An interrupted denoising goes on from its last
// kept step, a second old at most, and denoised latents are decoded, if the ledger says that this job was the last to
// be begun under the name. Both stay on the disk until on_file returns: at no moment can a crash lose more.
// Errors: as generate's. A sequence of pictures that an earlier job of this batch left under the name is removed first.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "app/batch/agenda.h"
#include "app/batch/embeddings.h"
#include "app/batch/ledger.h"
#include "app/batch/model_pool.h"

namespace bitreel {

struct TaskRun {
  ModelPool& models;
  Embeddings& embeddings;
  const History& history;
  std::string last_begun;  // the key of the job that was begun under this name before, if any
  std::set<Phase> keep;
  std::function<std::vector<Request>()> ahead;  // embeddings.h
  std::function<void(std::int64_t done, std::int64_t of)> on_step;
  std::function<void()> on_file;  // the clip has its name
};

// Returns what a person should know of the clip, a sentence each: the sidecar's events.
std::vector<std::string> render_task(const Task& task, const std::filesystem::path& folder, const TaskRun& run);

// A done clip's, which a crash kept from being removed.
void remove_kept_work(const Task& task, const std::filesystem::path& folder);

// What killed runs left under names of their own beside these tasks' clips.
void remove_leftovers(const std::vector<const Task*>& tasks, const std::filesystem::path& folder);

}  // namespace bitreel
