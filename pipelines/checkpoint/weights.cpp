#include "pipelines/checkpoint/weights.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_file.h"
#include "base/nearest.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

// Files of a folder whose names end in `suffix`, sorted.
std::vector<fs::path> files_ending_in(const fs::path& folder, const std::string& suffix) {
  std::vector<fs::path> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().filename().string().ends_with(suffix)) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

// The files of a component, and the tensors that an index says they hold.
struct Listing {
  std::vector<fs::path> files;
  fs::path index;                           // empty when there is none
  std::map<std::string, fs::path> tensors;  // by the index
};

// What an index file's weight_map says. File names must stay inside the folder.
Listing listing_of(const fs::path& index_path) {
  const nlohmann::json index = read_json(index_path);
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    throw Error(fmt::format("{}: no weight_map object", index_path.string()), "download the index file again");
  }
  Listing listing{.files = {}, .index = index_path, .tensors = {}};
  for (const auto& [tensor, file] : index["weight_map"].items()) {
    if (!file.is_string() || fs::path(file.get<std::string>()).filename() != fs::path(file.get<std::string>())) {
      throw Error(fmt::format("{}: weight_map gives {} the file {}, expected a file name in this folder",
                              index_path.string(), tensor, file.dump()));
    }
    const fs::path shard = index_path.parent_path() / file.get<std::string>();
    if (std::ranges::find(listing.files, shard) == listing.files.end()) listing.files.push_back(shard);
    listing.tensors.emplace(tensor, shard);
  }
  for (const fs::path& shard : listing.files) {
    if (!fs::exists(shard)) {
      throw Error(fmt::format("{}: this shard is missing, {} lists it", shard.string(), index_path.filename().string()),
                  "download the missing file");
    }
  }
  return listing;
}

// Pickles are programs: they are not opened here. Tensors that share memory are stored one by one.
std::string conversion_hint(const fs::path& folder) {
  for (const char* ending : {".bin", ".pt", ".pth", ".ckpt"}) {
    const std::vector<fs::path> pickles = files_ending_in(folder, ending);
    if (pickles.empty()) continue;
    const fs::path& pickle = pickles.front();
    return fmt::format(
        "{} is a pickle; save it as safetensors: python3 -c \"import torch; from safetensors.torch import save_file; "
        "save_file({{k: v.clone() for k, v in torch.load('{}', map_location='cpu', weights_only=True).items()}}, "
        "'{}')\"",
        pickle.filename().string(), pickle.string(), fs::path(pickle).replace_extension(".safetensors").string());
  }
  return "download the component's weights as safetensors";
}

Listing weight_files(const fs::path& folder) {
  if (!fs::is_directory(folder)) throw Error(fmt::format("{}: no such folder", folder.string()));
  const std::vector<fs::path> indices = files_ending_in(folder, ".safetensors.index.json");
  if (indices.size() == 1) return listing_of(indices.front());
  std::vector<fs::path> singles = files_ending_in(folder, ".safetensors");
  if (indices.empty() && singles.size() == 1) return {.files = singles, .index = {}, .tensors = {}};
  std::vector<std::string> seen;
  for (const fs::path& path : indices.empty() ? singles : indices) seen.push_back(path.filename().string());
  throw Error(fmt::format("{}: {}, expected one *.safetensors or one *.safetensors.index.json", folder.string(),
                          seen.empty() ? "no safetensors file" : fmt::format("found {}", fmt::join(seen, ", "))),
              seen.empty() ? conversion_hint(folder) : "leave one variant in the folder");
}

}  // namespace

Weights Weights::open(const fs::path& component_folder) {
  Weights weights;
  weights.component_ = component_folder.filename().string();
  const Listing listing = weight_files(component_folder);
  weights.paths_ = listing.files;
  for (const fs::path& path : weights.paths_) {
    weights.files_.push_back(SafetensorsFile::open(path));
    for (const auto& [name, info] : weights.files_.back().tensors()) {
      if (!weights.where_.emplace(name, weights.files_.size() - 1).second) {
        throw Error(fmt::format("{}: tensor {} is also in another shard", path.string(), name));
      }
    }
  }
  for (const auto& [name, shard] : listing.tensors) {
    if (weights.has(name) && weights.file_of(name) == shard) continue;
    throw Error(fmt::format("{}: weight_map says that {} holds tensor {}, which is {}", listing.index.string(),
                            shard.filename().string(), name,
                            weights.has(name) ? "in " + weights.file_of(name).filename().string() : "in no shard"),
                "the index and the shards are of different downloads");
  }
  return weights;
}

Weights Weights::made_up(std::string component, std::uint64_t seed) {
  Weights weights;
  weights.component_ = std::move(component);
  weights.made_up_seed_ = seed;
  return weights;
}

std::vector<std::string> Weights::names() const {
  std::vector<std::string> all;
  all.reserve(where_.size());
  for (const auto& entry : where_) all.push_back(entry.first);
  return all;
}

bool Weights::has(const std::string& name) const {
  return where_.contains(name);
}

const fs::path& Weights::file_of(const std::string& name) const {
  return paths_[where_.at(name)];
}

const TensorInfo& Weights::info(const std::string& name) const {
  const auto found = where_.find(name);
  if (found == where_.end()) {
    const std::string close = nearest(name, names());
    throw Error(fmt::format("{}: tensor {} is missing", component_, name),
                close.empty() ? "config.json and the weights may be of different models"
                              : fmt::format("the nearest name in the files is {}", close));
  }
  return files_[found->second].tensors().at(name);
}

at::Tensor Weights::get(const std::string& name, at::IntArrayRef expected_shape) const {
  const TensorInfo& stored = info(name);
  const SafetensorsFile& file = files_[where_.at(name)];
  if (at::IntArrayRef(stored.shape) != expected_shape) {
    throw Error(fmt::format("{}: tensor {} is [{}], config.json says [{}]", file.path().string(), name,
                            fmt::join(stored.shape, ", "), fmt::join(expected_shape, ", ")),
                "config.json and the weights may be of different models");
  }
  return file.tensor(name);
}

}  // namespace bitreel
