// Reads and writes safetensors files: an 8-byte little-endian header length, a JSON header, then the tensors' bytes.
//
//   const SafetensorsFile file = SafetensorsFile::open("model.safetensors");
//   at::Tensor w = file.tensor("weight");        // a view of the mapping, no copy
//   write_safetensors("latents.safetensors", {{"latents", latents}}, {{"seed", "42"}});
//
// The header is trusted in nothing: its length, every dtype, shape, offset and overlap are checked against the file.
// Source: the format's README (huggingface/safetensors), limits as its reference reader's (header <= 100 MB).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace bitreel {

struct TensorInfo {
  at::ScalarType dtype = at::kFloat;
  std::vector<std::int64_t> shape;
  std::size_t begin = 0;  // bytes from the start of the data section
  std::size_t end = 0;
};

class MappedFile;

class SafetensorsFile {
 public:
  static SafetensorsFile open(const std::filesystem::path& path);

  [[nodiscard]] const std::map<std::string, TensorInfo>& tensors() const { return tensors_; }
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const { return metadata_; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  // Throws Error when there is no such tensor.
  [[nodiscard]] at::Tensor tensor(const std::string& name) const;
  // It has been copied: mapped_file.h.
  void let_go(const std::string& name) const;

 private:
  std::filesystem::path path_;
  std::shared_ptr<const MappedFile> mapping_;
  std::size_t data_begin_ = 0;
  std::map<std::string, TensorInfo> tensors_;
  std::map<std::string, std::string> metadata_;
};

// Written beside and renamed when complete.
void write_safetensors(const std::filesystem::path& path, const std::map<std::string, at::Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace bitreel
