#include "app/latents_file.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <map>

#include "attention/error.h"
#include "bitreel/version.h"
#include "pipelines/checkpoint/safetensors.h"

namespace bitreel {

void write_latents(const std::filesystem::path& path, const at::Tensor& latents, const GenerateOptions& options,
                   const nlohmann::ordered_json& attention, const std::string& stopped_after_step) {
  std::map<std::string, std::string> metadata = {
      {"bitreel", version}, {"config", to_json(options).dump()}, {"attention", attention.dump()}};
  if (!stopped_after_step.empty()) metadata["stopped_after_step"] = stopped_after_step;
  write_safetensors(path, {{"latents", latents.cpu().contiguous()}}, metadata);
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
  const auto stopped = file.metadata().find("stopped_after_step");
  if (stopped != file.metadata().end()) read.stopped_after_step = stopped->second;
  return read;
}

}  // namespace bitreel
