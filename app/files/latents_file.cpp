#include "app/files/latents_file.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/json_text.h"
#include "base/number_text.h"
#include "bitreel/version.h"
#include "pipelines/checkpoint/safetensors.h"

namespace bitreel {

namespace {

const std::string scheduler_prefix = "scheduler.";
const std::string unprefixed = "previous_original";  // of files before 0.2

std::map<std::string, std::string> metadata_of(const GenerateOptions& options, const ClipRecord& record) {
  return {{"bitreel", version},
          {"config", to_json(options).dump()},
          {"model", record.model.dump()},
          {"run", record.run.dump()},
          {"attention", record.attention.dump()},
          {"events", nlohmann::ordered_json(record.events).dump()}};
}

std::int64_t count_in(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  const std::string text = found == file.metadata().end() ? "" : found->second;
  const std::optional<std::int64_t> count = number_from<std::int64_t>(text);
  if (!count)
    throw Error(fmt::format("{}: the metadata's {} is \"{}\", expected a number", file.path().string(), key, text));
  return *count;
}

}  // namespace

void write_latents(const std::filesystem::path& path, const NamedTensors& latents, const GenerateOptions& options,
                   const ClipRecord& record) {
  write_safetensors(path, latents, metadata_of(options, record));
}

void write_unfinished(const std::filesystem::path& path, const DenoisingState& state, std::int64_t steps,
                      const GenerateOptions& options, const ClipRecord& record) {
  NamedTensors tensors = state.latents;
  tensors["generator"] = state.generator;
  for (const auto& [name, tensor] : state.scheduler) tensors[scheduler_prefix + name] = tensor;
  std::map<std::string, std::string> metadata = metadata_of(options, record);
  metadata["steps_done"] = std::to_string(state.steps_done);
  metadata["steps"] = std::to_string(steps);
  write_safetensors(path, tensors, metadata);
}

LatentsFile read_latents(const std::filesystem::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  LatentsFile read;
  read.path = path;
  const auto metadata = [&](const std::string& key) {
    const auto found = file.metadata().find(key);
    if (found == file.metadata().end()) return nlohmann::ordered_json();
    auto value = parse_json_if_any<nlohmann::ordered_json>(found->second);
    if (value.is_discarded()) throw Error(fmt::format("{}: the metadata's {} is not JSON", path.string(), key));
    return value;
  };
  read.config = metadata("config");
  read.model = metadata("model");
  read.run = metadata("run");
  read.attention = metadata("attention");
  const nlohmann::ordered_json events = metadata("events");
  const auto is_text = [](const nlohmann::ordered_json& event) { return event.is_string(); };
  if (!events.is_null() && !(events.is_array() && std::ranges::all_of(events, is_text)))
    throw Error(fmt::format("{}: the metadata's events are not a list of texts", path.string()));
  for (const auto& event : events) read.events.push_back(event.get<std::string>());
  const bool is_unfinished = file.metadata().contains("steps_done");
  DenoisingState state;
  for (const auto& [name, info] : file.tensors()) {
    if (is_unfinished && name == "generator") {
      state.generator = file.tensor(name);
    } else if (is_unfinished && name == unprefixed) {
      state.scheduler[name] = file.tensor(name);
    } else if (is_unfinished && name.starts_with(scheduler_prefix)) {
      state.scheduler[name.substr(scheduler_prefix.size())] = file.tensor(name);
    } else {
      read.latents[name] = file.tensor(name);
    }
  }
  if (!is_unfinished) return read;
  if (!state.generator.defined())
    throw Error(fmt::format("{}: tensor generator is missing, without which no denoising goes on", path.string()));
  state.steps_done = count_in(file, "steps_done");
  state.latents = read.latents;
  read.unfinished = std::move(state);
  read.steps = count_in(file, "steps");
  return read;
}

}  // namespace bitreel
