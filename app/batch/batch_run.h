// A batch at work: what happened to each task in the ledger, what came of all in results.json.
//
//   const std::vector<JobResult> results = run_batch(tasks, models, {.folder = "out", .retries = 1}, console);
//
// Tasks of one model follow each other, so that each model is loaded once; within that, the file's order, several at
// once where that is faster (lanes.h). A task that fails is written down and passed by; clips of one transformer batch
// that fails go on alone, from what is kept of each. After the last one, those that failed run again, as often as
// retries says.
// Done tasks are skipped (agenda.h). results.json is written at the end, at an interrupt, and every half minute.
// Errors: Error when the folder is another batch's at the moment (folder_lock.h) or the ledger can't be written;
// Interrupted after a signal. A task's errors are results.
#pragma once

#include <filesystem>
#include <vector>

#include "app/batch/agenda.h"
#include "app/batch/lanes.h"
#include "app/batch/model_pool.h"
#include "app/batch/results.h"
#include "app/batch/shard.h"
#include "app/console.h"

namespace bitreel {

struct BatchOptions {
  std::filesystem::path folder;
  Shard shard = {};  // of several: only its tasks run, and results are left to collect()
  int retries = 0;
  LanesAsked lanes = {};
};

// Of the shard's tasks, in the file's order.
std::vector<JobResult> run_batch(const std::vector<Task>& tasks, ModelPool& models, const BatchOptions& options,
                                 Console& console);

// Of all tasks, by what the folder's ledgers say and the clips that are there; runs nothing.
std::vector<JobResult> collect(const std::vector<Task>& tasks, const std::filesystem::path& folder, Console& console);

// How many of these tasks, all of one model, are made at once.
Lanes lanes_of(const std::vector<const Task*>& tasks, const Pipeline& model, const LanesAsked& asked);

// The shard's tasks, by their index.
std::vector<const Task*> tasks_of(const std::vector<Task>& tasks, Shard shard);

}  // namespace bitreel
