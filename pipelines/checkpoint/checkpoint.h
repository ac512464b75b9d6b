// A checkpoint folder as the hub lays it out: model_index.json and one folder per component.
//
//   const Checkpoint checkpoint = Checkpoint::open("CogVideoX-2b");
//   const nlohmann::json config = checkpoint.config("transformer");        // transformer/config.json
//   const Weights weights = checkpoint.weights("transformer");             // all its safetensors, mapped, not read
//
//   const Checkpoint benchmarked = checkpoint.made_up(7, {{"transformer", {{"num_layers", 2}}}});
//
// Errors: Error when the folder, model_index.json, a component, a shard or a tensor is missing or malformed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "pipelines/checkpoint/weights.h"

namespace bitreel {

class Checkpoint {
 public:
  static Checkpoint open(const std::filesystem::path& folder);

  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  [[nodiscard]] const nlohmann::json& index() const { return index_; }
  [[nodiscard]] std::string pipeline_class() const;  // model_index.json's _class_name
  [[nodiscard]] std::string component_class(const std::string& component) const;
  [[nodiscard]] bool has(const std::string& component) const;
  // The component's configuration: config.json, or scheduler_config.json for the scheduler.
  [[nodiscard]] nlohmann::json config(const std::string& component) const;
  [[nodiscard]] Weights weights(const std::string& component) const;

  // The same folder with random weights from this seed (made_up.h), and with other values for keys of its components'
  // configurations.
  [[nodiscard]] Checkpoint made_up(std::uint64_t seed, std::map<std::string, nlohmann::json> changes) const;

 private:
  std::filesystem::path folder_;
  nlohmann::json index_;
  std::optional<std::uint64_t> made_up_seed_;
  std::map<std::string, nlohmann::json> changes_;
};

}  // namespace bitreel
