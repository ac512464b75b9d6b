// A file of jobs: everything that one bitreel batch renders.
//
//   defaults:                            # settings of bitreel generate, for every job
//     steps: 30
//     attention: [full, int8]            # a list makes a job for each value, several lists their product
//   jobs:
//     - {name: star, prompt: "a small blue star orbits on white", seed: [1, 2, 3]}       # 6 jobs
//   prompts_file: prompts.csv            # a job for each row (prompt_rows.h); also as a key of a job
//   output: "{name}/{seed}-{attention}.mp4"                       # relative to --output (output_names.h)
//
//   std::vector<Job> jobs = read_jobs("jobs.yaml");
//   std::cout << jobs_yaml(jobs);        // a file with every setting of every job, for read_jobs again
//
// Order: jobs as in the file, then the rows of the file's own prompts_file. Within one: rows, then settings in the
// order in which they stand in the file (defaults first), where the last varies fastest. A row's value goes before the
// job's, the job's before the defaults'. Paths are relative to the current folder, as in bitreel generate --config. A
// job without a seed has seed 0, so that the next run makes the same clip; a random one (-1) is refused. Errors:
// UsageError with file, line and column; more than 100,000 jobs or 4 MiB of YAML are refused as well.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "app/batch/job.h"

namespace bitreel {

std::vector<Job> read_jobs(const std::filesystem::path& file);

// options.output and options.save_latents of every job are taken as paths, not as templates.
std::string jobs_yaml(const std::vector<Job>& jobs);

}  // namespace bitreel
