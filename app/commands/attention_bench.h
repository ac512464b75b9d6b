// Attention, timed: every kernel of this machine beside LibTorch's scaled_dot_product_attention, in one run.
//
//   const AttentionBench bench = read_attention_bench("configs/bench/attention.yaml");
//   const nlohmann::ordered_json results = run_attention_bench(bench, on_case);
//   std::cout << attention_table(results);
//
// Times include quantization. Contenders take turns within each round; what is reported is the median over rounds, and
// for "times faster" the median of the rounds' own ratios, so that a busy neighbour hits both sides alike.
// On a GPU times are between events on its stream, with the clock of its multiprocessors beside them, and the
// quantization pass is timed once more alone. TOPS counts 4 B H N^2 D operations a call; of peak: of what the kernel's
// dot-product instruction alone reaches on all threads, measured in the same run. Accuracy is against the formula in
// fp64 on the same inputs.
#pragma once

#include <c10/core/Device.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "attention/precision.h"

namespace bitreel {

struct AttentionCase {
  std::string name;
  std::int64_t batch = 1, heads = 1, tokens = 1, dim = 64;
  std::string dtype = "bf16";  // of the kernels' inputs
};

struct AttentionBench {
  std::int64_t rounds = 5;
  std::int64_t accuracy_rows = 64;
  std::vector<std::string> baselines;   // dtypes
  std::vector<std::string> precisions;  // recipes: attention/recipe.h
  std::vector<std::string> backends;    // by name; every vectorised kernel of this machine when empty
  std::vector<AttentionCase> cases;
  c10::Device device = c10::kCPU;  // not of the file: where the inputs lie
};

// Strict. Throws UsageError naming file, line and key.
AttentionBench read_attention_bench(const std::filesystem::path& file);

nlohmann::ordered_json run_attention_bench(const AttentionBench& bench,
                                           const std::function<void(const nlohmann::ordered_json&)>& on_case);

// A Markdown table of what run_attention_bench returned; README's is made this way.
std::string attention_table(const nlohmann::ordered_json& results);

// `bitreel bench attention`.
void add_bench(CLI::App& app);

}  // namespace bitreel
