// Tells one clip from another by all that its pixels follow from: whether a job that was done is still the same job.
//
//   const std::string content = content_of(*model, identify(*model));
//   const std::string key = job_key(options, content);               // 32 hexadecimal digits
//
// Hashed are the settings, the bytes of a plan file that --attention names, the model's content and the version of the
// arithmetic. Left out are paths (where the clip goes, where the model lies). The options have every default filled in
// but device and dtype, which are as they were asked for: what a machine chooses for itself is not another job, so that
// shards on several machines and the one that collects agree.
#pragma once

#include <string>

#include "app/files/model_identity.h"
#include "app/options.h"
#include "pipelines/model/pipeline.h"

namespace bitreel {

// Raise it when a change to the program makes other latents or pixels from the same settings and weights, beyond what
// tests/golden accepts as equal or by intent (a new default, a corrected formula, another file layout). Every job of
// every batch then runs again. A faster kernel with the same results leaves it alone.
inline constexpr int arithmetic_version = 1;

// One hash of all that a checkpoint is: its weights, by their identity, configurations and tokenizers.
std::string content_of(const Pipeline& model, const ModelIdentity& identity);

std::string job_key(const GenerateOptions& options, const std::string& model_content);

}  // namespace bitreel
