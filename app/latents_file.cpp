#include "app/latents_file.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "attention/error.h"
#include "bitreel/version.h"
#include "pipelines/checkpoint/safetensors.h"

namespace bitreel {

void write_latents(const std::filesystem::path& path, const at::Tensor& latents, const GenerateOptions& options,
                   const nlohmann::ordered_json& attention) {
  write_safetensors(path, {{"latents", latents.cpu().contiguous()}},
                    {{"bitreel", version}, {"config", to_json(options).dump()}, {"attention", attention.dump()}});
}

LatentsFile read_latents(const std::filesystem::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  LatentsFile read;
  read.latents = file.tensor("latents");
  if (read.latents.dim() != 5 || read.latents.numel() == 0) {
    throw Error(
        fmt::format("{}: latents has {} dimensions and {} values, expected [batch, frames, channels, height, width]",
                    path.string(), read.latents.dim(), read.latents.numel()));
  }
  const auto metadata = [&](const std::string& key) {
    const auto found = file.metadata().find(key);
    if (found == file.metadata().end()) return nlohmann::ordered_json();
    auto value = nlohmann::ordered_json::parse(found->second, nullptr, /*allow_exceptions=*/false);
    if (value.is_discarded()) throw Error(fmt::format("{}: the metadata's {} is not JSON", path.string(), key));
    return value;
  };
  read.config = metadata("config");
  read.attention = metadata("attention");
  return read;
}

}  // namespace bitreel
