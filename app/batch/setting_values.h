// What a jobs file or a file of prompts gives: values of settings, still as text, with the place where they stand.
//
//   const SettingValues seeds{.key = "seed", .texts = {"1", "2", "3"}, .where = "jobs.yaml:4:11"};   // three jobs
//
// Keys are those of the settings table (app/options.h), and `name`, which is the job's own.
#pragma once

#include <string>
#include <vector>

namespace bitreel {

struct SettingValues {
  std::string key;
  std::vector<std::string> texts;  // one, or one for each job
  std::string where;
};

// A row of a file of prompts, or what a jobs file says of one job: at most one entry a key.
struct JobRow {
  std::string where;
  std::vector<SettingValues> settings;
};

// Throws UsageError naming the nearest key, unless it is a setting's or `name`.
void check_job_key(const std::string& key, const std::string& where);

}  // namespace bitreel
