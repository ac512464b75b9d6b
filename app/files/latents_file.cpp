#include "app/files/latents_file.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <charconv>
#include <map>
#include <string>

#include "base/error.h"
#include "base/json_text.h"
#include "bitreel/version.h"
#include "pipelines/checkpoint/safetensors.h"

namespace bitreel {

namespace {

std::map<std::string, std::string> metadata_of(const GenerateOptions& options,
                                               const nlohmann::ordered_json& attention) {
  return {{"bitreel", version}, {"config", to_json(options).dump()}, {"attention", attention.dump()}};
}

std::int64_t count_in(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  const std::string text = found == file.metadata().end() ? "" : found->second;
  std::int64_t count = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || stop != text.data() + text.size()) {
    throw Error(fmt::format("{}: the metadata's {} is \"{}\", expected a number", file.path().string(), key, text));
  }
  return count;
}

}  // namespace

void write_latents(const std::filesystem::path& path, const at::Tensor& latents, const GenerateOptions& options,
                   const nlohmann::ordered_json& attention) {
  write_safetensors(path, {{"latents", latents}}, metadata_of(options, attention));
}

void write_unfinished(const std::filesystem::path& path, const DenoisingState& state, std::int64_t steps,
                      const GenerateOptions& options, const nlohmann::ordered_json& attention) {
  std::map<std::string, at::Tensor> tensors = {{"latents", state.latents}, {"generator", state.generator}};
  if (state.previous_original.defined()) tensors["previous_original"] = state.previous_original;
  std::map<std::string, std::string> metadata = metadata_of(options, attention);
  metadata["steps_done"] = std::to_string(state.steps_done);
  metadata["steps"] = std::to_string(steps);
  write_safetensors(path, tensors, metadata);
}

LatentsFile read_latents(const std::filesystem::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  LatentsFile read;
  read.path = path;
  read.latents = file.tensor("latents");
  if (read.latents.dim() != 5 || read.latents.numel() == 0) {
    throw Error(
        fmt::format("{}: latents has {} dimensions and {} values, expected [batch, frames, channels, height, width]",
                    path.string(), read.latents.dim(), read.latents.numel()));
  }
  const auto metadata = [&](const std::string& key) {
    const auto found = file.metadata().find(key);
    if (found == file.metadata().end()) return nlohmann::ordered_json();
    auto value = parse_json_if_any<nlohmann::ordered_json>(found->second);
    if (value.is_discarded()) throw Error(fmt::format("{}: the metadata's {} is not JSON", path.string(), key));
    return value;
  };
  read.config = metadata("config");
  read.attention = metadata("attention");
  if (!file.metadata().contains("steps_done")) return read;
  read.unfinished = {.steps_done = count_in(file, "steps_done"),
                     .latents = read.latents,
                     .previous_original = {},
                     .generator = file.tensor("generator")};
  if (file.tensors().contains("previous_original"))
    read.unfinished->previous_original = file.tensor("previous_original");
  read.steps = count_in(file, "steps");
  return read;
}

}  // namespace bitreel
