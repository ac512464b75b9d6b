// `bitreel bench step` and `bitreel bench vae`: app/bench/model_bench.h.
#pragma once

#include <CLI/CLI.hpp>

namespace bitreel {

// bench: the command that they belong to, of add_bench.
void add_model_benches(CLI::App& bench);

}  // namespace bitreel
