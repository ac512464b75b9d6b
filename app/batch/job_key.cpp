#include "app/batch/job_key.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "app/files/content_hash.h"
#include "base/input_file.h"
#include "schedulers/precision/attention_choice.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

// Of 256 bits half are kept: plenty to tell clips apart, and lines stay short.
constexpr std::size_t key_digits = 32;

std::string hash_of(const nlohmann::ordered_json& content) {
  return hash_of_text(content.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)).substr(0, key_digits);
}

std::string hash_of_file(const fs::path& file) {
  constexpr std::uintmax_t most_bytes = std::uintmax_t{1} << 30;  // as many as a picture may have
  return hash_of_text(read_file(file, {.most_bytes = most_bytes}));
}

// Documentation beside a component is not the model; weights are told by their identity.
bool is_configuration(const fs::path& file) {
  const std::string extension = file.extension().string();
  return extension == ".json" || extension == ".model" || extension == ".txt";
}

}  // namespace

std::string content_of(const Pipeline& model, const ModelIdentity& identity) {
  std::vector<fs::path> files;
  for (const Component& component : model.traits().components) {
    const fs::path folder = model.checkpoint().folder() / component.name;
    if (!fs::is_directory(folder)) continue;
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.is_regular_file() && is_configuration(entry.path())) files.push_back(entry.path());
    }
  }
  std::ranges::sort(files);
  nlohmann::ordered_json content = {{"model_index.json", model.checkpoint().index()}, {"weights", identity.files}};
  for (const fs::path& file : files) {
    content[file.lexically_relative(model.checkpoint().folder()).string()] = hash_of_file(file);
  }
  return hash_of(content);
}

std::string job_key(const GenerateOptions& options, const std::string& model_content) {
  nlohmann::ordered_json content = {
      {"arithmetic", arithmetic_version}, {"model", model_content}, {"settings", to_json(options)}};
  for (const char* path : {"output", "save_latents", "model", "accept_plan_of"}) content["settings"].erase(path);
  if (!options.image.empty()) content["settings"]["image"] = hash_of_file(options.image);
  if (names_plan_file(options.attention)) content["settings"]["attention"] = hash_of_file(options.attention);
  return hash_of(content);
}

}  // namespace bitreel
