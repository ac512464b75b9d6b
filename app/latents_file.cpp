#include "app/latents_file.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "attention/error.h"
#include "bitreel/version.h"
#include "pipelines/checkpoint/safetensors.h"

namespace bitreel {

void write_latents(const std::filesystem::path& path, const at::Tensor& latents, const GenerateOptions& options) {
  write_safetensors(path, {{"latents", latents.cpu().contiguous()}},
                    {{"bitreel", version}, {"config", to_json(options).dump()}});
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
  const auto config = file.metadata().find("config");
  if (config == file.metadata().end()) return read;
  read.config = nlohmann::ordered_json::parse(config->second, nullptr, /*allow_exceptions=*/false);
  if (read.config.is_discarded()) throw Error(fmt::format("{}: the metadata's config is not JSON", path.string()));
  return read;
}

}  // namespace bitreel
