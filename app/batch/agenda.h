// A batch before its work: every job with nothing left open, and which of them are done.
//
//   ModelPool models;
//   const std::vector<Task> tasks = agenda_of(read_jobs("jobs.yaml"), "out", models);
//   const History history(read_ledgers("out").lines);
//   const bool there = is_done(tasks[3], "out", history);   // its clip is, and nothing has changed
//
// Errors: UsageError with the job's place in the file, for settings that its model refuses and outputs that can't be
// (output_names.h). A model that cannot be read is its jobs' obstacle, not an error: the others are rendered.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "app/batch/job.h"
#include "app/batch/ledger.h"
#include "app/batch/model_pool.h"
#include "app/files/output_files.h"

namespace bitreel {

// What a clip takes, as its model states it.
struct TaskCost {
  double flop = 0;              // from text to frames
  double peak_bytes = 0;        // phase after phase
  double weight_bytes = 0;      // of all phases; of the largest where they take turns
  double activation_bytes = 0;  // of the largest phase

  // Every phase's weights at once, and the largest activations.
  [[nodiscard]] double all_bytes() const { return weight_bytes + activation_bytes; }
};

struct Task {
  Job job;                // options: all of them resolved; output and save_latents relative to the batch's folder
  GenerateOptions asked;  // the same, but device and dtype as they were asked for: the same on every machine
  std::string key;        // job_key.h
  Mode mode;
  std::int64_t samples = 1;
  OutputFiles files;  // relative to the batch's folder
  TaskCost cost;
  std::string obstacle;  // why it can't be rendered
};

std::vector<Task> agenda_of(std::vector<Job> jobs, const std::filesystem::path& folder, ModelPool& models);

bool is_done(const Task& task, const std::filesystem::path& folder, const History& history);

// A task's options with paths as this process sees them.
GenerateOptions options_in(const std::filesystem::path& folder, const Task& task);

// Of all its files, a folder of pictures being one; 0 when one is missing.
std::uintmax_t written_bytes(const Task& task, const std::filesystem::path& folder);

}  // namespace bitreel
