// What a person can ask of a run: one table of settings serves flags, YAML keys, --print-config and provenance.
//
//   GenerateOptions options;
//   apply_yaml(options, "clip.yaml");                                   // steps: 30
//   setting("steps").set(options, "40", "--steps");                     // flags win: set after the file
//   std::cout << to_yaml(options);                                      // what apply_yaml reads back
//
// An optional that is empty means: as the checkpoint says; resolve() in render.h fills all that mean something to it.
// Errors: UsageError naming the flag, or file, line and key; what it got, what is expected, the nearest known name.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "pipelines/model/device.h"
#include "pipelines/model/request.h"
#include "pipelines/model/run_options.h"

namespace bitreel {

struct GenerateOptions {
  std::string mode;  // one of the model's, by name; inferred from what is given when empty
  std::optional<std::string> prompt;
  std::string negative_prompt;
  std::filesystem::path image;              // a picture's file
  std::optional<std::int64_t> num_images;   // of modes that make pictures
  std::optional<std::int64_t> num_prompts;  // of modes that make texts
  std::filesystem::path model;              // checkpoint folder; the default model when empty
  std::optional<std::int64_t> width;
  std::optional<std::int64_t> height;
  std::optional<std::int64_t> num_frames;
  std::optional<double> fps;
  std::optional<std::int64_t> steps;
  std::optional<double> guidance_scale;
  DynamicGuidance dynamic_cfg = DynamicGuidance::off;
  std::optional<SchedulerKind> scheduler;
  std::optional<std::uint64_t> seed;
  std::optional<at::ScalarType> dtype;
  DeviceChoice device = DeviceChoice::automatic;
  std::string attention = "full";     // a precision, a one-line plan or a plan file
  std::string attention_backend;      // the best for each call when empty
  std::string accept_plan_of;         // a model's or scheduler's name whose plan files are welcome all the same
  std::optional<std::int64_t> guard;  // look at every so many steps; off when empty
  std::optional<double> guard_bound;  // instead of the plan's
  Elementwise elementwise = Elementwise::fused;
  LinearPrecision linear = LinearPrecision::full;
  LinearPath linear_path = LinearPath::library;
  bool cuda_graph = true;
  WeightStorage weights = WeightStorage::full;
  Offload offload = Offload::none;
  std::optional<double> gpu_memory_limit;  // GiB
  Tiling vae_tiling = Tiling::off;
  std::optional<ConvolutionLayout> vae_layout;
  std::filesystem::path output;
  std::string codec;                // chosen by the output's extension when empty
  std::optional<std::int64_t> crf;  // the codec's own default when empty
  std::filesystem::path save_latents;
  bool no_metadata = false;
};

// value: --name TEXT. toggle: --name, --no-name or name: true, and --name WORD where it has one. optional_value: --name
// alone means `implied`.
enum class SettingForm { value, toggle, optional_value };

struct Setting {
  std::string name = {};    // as in the flag, without the dashes
  std::string letter = {};  // the short flag, if it has one
  std::string shape = {};   // what the help shows for its value: INT, ddim|dpm
  std::string help = {};
  std::string group = {};  // the help's heading
  SettingForm form = SettingForm::value;
  std::string implied = {};
  std::string word = {};  // a toggle's third value
  // where: how the person named it, for the error ("--steps", "clip.yaml:3: steps").
  std::function<void(GenerateOptions&, const std::string& text, const std::string& where)> set = {};
  std::function<nlohmann::ordered_json(const GenerateOptions&)> get = {};  // null when empty

  // The YAML and JSON key: the flag's name with _ for -.
  [[nodiscard]] std::string key() const;
};

const std::vector<Setting>& settings();
const Setting& setting(const std::string& name);

// Every setting that has a value, by key, in the table's order.
nlohmann::ordered_json to_json(const GenerateOptions& options);
std::string to_yaml(const GenerateOptions& options);
// Both refuse unknown and repeated keys. origin: the file's name, for errors.
void apply_json(GenerateOptions& options, const nlohmann::ordered_json& config, const std::string& origin);
void apply_yaml(GenerateOptions& options, const std::filesystem::path& file);

std::string_view name_of(at::ScalarType dtype);  // fp32, bf16, fp16
std::string_view name_of(DeviceChoice device);

}  // namespace bitreel
