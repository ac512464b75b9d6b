// A model's denoising step, or its decoder, timed on random weights: no checkpoint is needed, only its configuration.
//
//   const ModelBench bench = read_model_bench("configs/bench/step.yaml");
//   const nlohmann::ordered_json results = run_model_bench(bench, Phase::denoise, on_case);
//   std::cout << model_table(results);
//
// A case is a size of a model, a variant any flags of generate: each case runs in each variant. What is timed is the
// pipeline as generate runs it: a step with guidance, scheduler and the check of its latents; a decoding with its
// frames. Times are medians over rounds after a warm-up; by kind of work they come from rounds of their own, from
// events on the stream on a GPU. FLOP and bytes are those that the model's Cost states; the floor of each kind of work
// is the larger of FLOP over the rate of a large matrix product and bytes over the rate of a copy, both measured in the
// same run in the case's dtype. A case may cut the denoiser's layers, and says so.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "app/options.h"
#include "pipelines/model/cost.h"

namespace bitreel {

struct ModelCase {
  std::string name;
  std::optional<std::int64_t> layers;                             // of the denoiser; all when absent
  std::vector<std::pair<std::string, GenerateOptions>> variants;  // by name: the case's settings, then the variant's
};

struct ModelBench {
  std::int64_t rounds = 5;
  std::uint64_t seed = 1;  // of the weights
  std::vector<ModelCase> cases;
  c10::Device device = c10::kCPU;  // not of the file
};

// Strict. Throws UsageError naming file, line and key.
ModelBench read_model_bench(const std::filesystem::path& file);

// phase: denoise or decode. on_case gets the results so far after each case in each variant. The JSON:
// docs/documents.md.
nlohmann::ordered_json run_model_bench(const ModelBench& bench, Phase phase,
                                       const std::function<void(const nlohmann::ordered_json&)>& on_case);

// Markdown: a row for each case and variant, then one for each kind of work in them.
std::string model_table(const nlohmann::ordered_json& results);

}  // namespace bitreel
