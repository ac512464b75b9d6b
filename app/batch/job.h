// One clip of a batch: what is asked, under which name, and where it was asked for.
#pragma once

#include <cstddef>
#include <string>

#include "app/options.h"

namespace bitreel {

struct Job {
  std::size_t index = 0;    // its index in the batch, from 0
  std::string name;         // as given, else made of the prompt
  std::string where;        // for errors: "jobs.yaml:7:5", "prompts.csv:12"
  GenerateOptions options;  // output and save_latents: templates at first, then paths relative to the batch's folder
};

}  // namespace bitreel
