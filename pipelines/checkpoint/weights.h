// The weights of one component: one safetensors file, or the shards that an index file lists, seen as one table.
//
//   const Weights weights = Weights::open(folder / "transformer");
//   const at::Tensor w = weights.get("proj_out.weight", {32, 256});   // a view of the mapped file, in the stored dtype
//
//   const Weights random = Weights::made_up("transformer", 7);          // made_up.h; holds no names
//
// Follows *.safetensors.index.json when there is one, else the single *.safetensors. Every tensor that an index lists
// has to be in the shard that it names. Tensors stay valid as long as any of them lives: each holds its mapping.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pipelines/checkpoint/safetensors.h"

namespace bitreel {

class Weights {
 public:
  static Weights open(const std::filesystem::path& component_folder);
  // Whatever is asked for, random from this seed; the Loader draws it where it is to lie.
  static Weights made_up(std::string component, std::uint64_t seed);

  [[nodiscard]] std::vector<std::string> names() const;
  [[nodiscard]] bool has(const std::string& name) const;
  // Throws Error naming the tensor: the nearest known name when missing, both shapes when they differ.
  [[nodiscard]] at::Tensor get(const std::string& name, at::IntArrayRef expected_shape) const;
  // A tensor of names() has been copied: its pages need not stay in memory beside the copy.
  void let_go(const std::string& name) const { files_[where_.at(name)].let_go(name); }
  [[nodiscard]] const TensorInfo& info(const std::string& name) const;
  // The file that holds a tensor of names().
  [[nodiscard]] const std::filesystem::path& file_of(const std::string& name) const;
  [[nodiscard]] const std::vector<std::filesystem::path>& files() const { return paths_; }
  [[nodiscard]] const std::optional<std::uint64_t>& made_up_seed() const { return made_up_seed_; }
  // For messages: "transformer".
  [[nodiscard]] const std::string& component() const { return component_; }

 private:
  std::string component_;
  std::vector<std::filesystem::path> paths_;
  std::vector<SafetensorsFile> files_;
  std::map<std::string, std::size_t> where_;  // tensor name -> index into files_
  std::optional<std::uint64_t> made_up_seed_;
};

}  // namespace bitreel
