// bitreel batch: many clips from a YAML file, resumable, on one machine or several.
//
//   bitreel batch jobs.yaml --output out/batch --dry-run     # what it would render, with times and memory
//   bitreel batch jobs.yaml --output out/batch               # again after a crash: goes on from there
//   bitreel batch jobs.yaml --output out/batch --parallel 1   # one clip after the other (app/batch/lanes.h)
//   bitreel batch jobs.yaml --output out/batch --shard 2/4   # one machine of four; also from Slurm's and Kubernetes'
//   bitreel batch jobs.yaml --output out/batch --collect     # variables; then one result of all
//
// The file: app/batch/jobs_file.h. What is in the folder afterwards: app/batch/results.h, app/batch/ledger.h.
// Exit code: 0 every job is done, 1 some failed (or, with --collect, are missing), 2 the file makes no sense, 128 + n
// stopped by signal n.
#pragma once

#include <CLI/CLI.hpp>

namespace bitreel {

void add_batch(CLI::App& app);

}  // namespace bitreel
