#include "pipelines/checkpoint/checkpoint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/json_file.h"
#include "base/nearest.h"

namespace bitreel {
namespace fs = std::filesystem;

Checkpoint Checkpoint::open(const fs::path& folder) {
  if (!fs::is_directory(folder)) {
    throw Error(fmt::format("{}: {}, expected a checkpoint folder", folder.string(),
                            fs::exists(folder) ? "this is a file" : "no such folder"),
                "give the folder that holds model_index.json");
  }
  const fs::path index_path = folder / "model_index.json";
  if (!fs::exists(index_path)) {
    // As the authors published them, before there were folders of components.
    const bool originals = fs::exists(folder / "uvit_v1.pth") || fs::exists(folder / "caption_decoder.pth");
    throw Error(fmt::format("{}: holds no model_index.json", folder.string()),
                originals
                    ? "these are the authors' own pickles; diffusers' scripts/convert_unidiffuser_to_diffusers.py "
                      "makes a checkpoint folder of them, and the hub has it ready"
                    : "give a diffusers checkpoint folder, as downloaded from the hub");
  }
  Checkpoint checkpoint;
  checkpoint.folder_ = folder;
  checkpoint.index_ = read_json(index_path);
  if (!checkpoint.index_.is_object()) throw Error(fmt::format("{}: expected a JSON object", index_path.string()));
  return checkpoint;
}

std::string Checkpoint::pipeline_class() const {
  const auto found = index_.find("_class_name");
  if (found == index_.end() || !found->is_string()) {
    throw Error(fmt::format("{}: model_index.json has no _class_name", folder_.string()));
  }
  return found->get<std::string>();
}

bool Checkpoint::has(const std::string& component) const {
  const auto found = index_.find(component);
  return found != index_.end() && found->is_array() && found->size() == 2 && (*found)[1].is_string();
}

std::string Checkpoint::component_class(const std::string& component) const {
  if (!has(component)) {
    std::vector<std::string> known;
    for (const auto& [key, value] : index_.items()) {
      if (has(key)) known.push_back(key);
    }
    throw Error(fmt::format("{}: model_index.json names no {}; it names {}", folder_.string(), component,
                            fmt::join(known, ", ")));
  }
  return index_[component][1].get<std::string>();
}

nlohmann::json Checkpoint::config(const std::string& component) const {
  const std::string file = component == "scheduler" ? "scheduler_config.json" : "config.json";
  const fs::path path = folder_ / component / file;
  if (!fs::exists(path)) {
    throw Error(fmt::format("{}: this file is missing", path.string()), "download the folder again");
  }
  nlohmann::json config = read_json(path);
  if (const auto changes = changes_.find(component); changes != changes_.end()) config.update(changes->second);
  return config;
}

Weights Checkpoint::weights(const std::string& component) const {
  if (made_up_seed_) return Weights::made_up(component, *made_up_seed_);
  return Weights::open(folder_ / component);
}

Checkpoint Checkpoint::made_up(std::uint64_t seed, std::map<std::string, nlohmann::json> changes) const {
  Checkpoint checkpoint = *this;
  checkpoint.made_up_seed_ = seed;
  checkpoint.changes_ = std::move(changes);
  return checkpoint;
}

}  // namespace bitreel
