// The file that a jobs file names as prompts_file: a job for each row.
//
//   const std::vector<JobRow> rows = read_prompt_rows("prompts.csv");
//
// .csv: columns are settings (and `name`), as their keys in the first line say; RFC 4180's quotes, so that a prompt may
// hold commas and line ends; an empty cell leaves the setting as it is elsewhere.
// .json: a list of prompts, or of objects whose keys are settings; a list as a value makes a job for each. `objects`
// and `background`, which bitreel judge reads (assets/prompts), are passed by. Anything else: text with one prompt a
// line; empty lines are passed by. Errors: UsageError with file and line (JSON: file and entry) for what is no such
// file, unknown or repeated keys, and files of more than 16 MiB.
#pragma once

#include <filesystem>
#include <vector>

#include "app/batch/setting_values.h"

namespace bitreel {

// At least one.
std::vector<JobRow> read_prompt_rows(const std::filesystem::path& file);

}  // namespace bitreel
