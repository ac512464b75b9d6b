// What a batch came to, for programs, spreadsheets and eyes: results.json, results.csv and index.html in its folder.
//
//   write_results("out", results);
//
// results.json:
// {"bitreel_batch": 1,
//  "jobs": [{"key", "index", "name", "state", "output", "settings", "seconds", "attempts", "error"}, ...],
//  "counts": {"done", "failed", "skipped", "missing"}}
// state: "done": rendered by this run. "skipped": rendered by an earlier run, its clip is there. "failed": `error` says
// why. "missing": not come to, as the run was stopped. The counts add up to the number of jobs. With --collect, which
// renders nothing, every job whose clip is there is "done", whoever rendered it.
// output is relative to the folder; settings are all that the job resolves to; seconds are those of the attempt that
// ended it, null without one; attempts count every run's.
// results.csv: the same, a row for each job, with a column for each setting.
// Errors: Error when the folder can't be written.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace bitreel {

// Of results.json.
inline constexpr int results_format_version = 1;

enum class JobOutcome { done, failed, skipped, missing };

std::string_view name_of(JobOutcome outcome);

struct JobResult {
  std::string key = {};
  std::size_t index = 0;
  std::string name = {};
  JobOutcome outcome = JobOutcome::missing;
  std::string output = {};
  nlohmann::ordered_json settings = {};
  std::optional<double> seconds = {};
  std::int64_t attempts = 0;
  std::string error = {};
};

struct JobCounts {
  std::size_t done = 0, failed = 0, skipped = 0, missing = 0;
};

JobCounts counts_of(const std::vector<JobResult>& results);

void write_results(const std::filesystem::path& folder, const std::vector<JobResult>& results);

}  // namespace bitreel
