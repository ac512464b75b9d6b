// bitreel calibrate: what each precision costs this model in accuracy and saves this device in time.
//
//   bitreel calibrate --output MEASURED.json                                 # the default model and prompts
//   bitreel calibrate --model DIR --prompts FILE --steps 30 --precisions int8,int4,sage2-8b --output MEASURED.json
//   bitreel calibrate --layers 0+14-15 --sample-steps 0-49 --heads 0-3 ...   # a part of the model
//
// Every prompt is denoised in full precision; on the way each sampled layer of each sampled step is computed in every
// candidate precision too, from the same queries, keys and values. The file is written after each prompt, and a run
// whose output exists goes on after the prompts in it. Memory does not grow with prompts, layers or steps.
// At the end it makes a plan from them, as bitreel plan does by default. The measures:
// schedulers/precision/measurement.h.
#pragma once

#include <CLI/CLI.hpp>

namespace bitreel {

void add_calibrate(CLI::App& app);

}  // namespace bitreel
