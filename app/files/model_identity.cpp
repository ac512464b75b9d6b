#include "app/files/model_identity.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>
#include <functional>
#include <set>
#include <span>

#include "app/files/content_hash.h"
#include "base/error.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

// As files are named in records: "vae/diffusion_pytorch_model.safetensors".
std::string name_of(const Component& component, const fs::path& file) {
  return fmt::format("{}/{}", component.name, file.filename().string());
}

struct WeightFile {
  const Component& component;
  fs::path path;
  std::string hash = {};
};

// Hashed side by side: each takes one thread all of its time.
std::vector<WeightFile> weight_files_of(const Pipeline& model) {
  std::vector<WeightFile> files;
  for (const Component& component : model.traits().components) {
    if (component.weights.empty()) continue;
    const Weights weights = model.checkpoint().weights(component.name);
    for (const fs::path& path : weights.files()) files.push_back({component, path});
  }
  at::parallel_for(0, std::ssize(files), 1, [&](std::int64_t begin, std::int64_t end) {
    for (WeightFile& file : std::span(files).subspan(begin, end - begin)) file.hash = content_hash(file.path);
  });
  return files;
}

// The first file of components used in such phases that is not what `kept` says; empty when all are, or it is null.
std::string first_changed(const Pipeline& model, const ModelIdentity& identity, const nlohmann::ordered_json& kept,
                          const std::function<bool(const std::set<Phase>&)>& used) {
  if (!kept.is_object()) return {};
  for (const Component& component : model.traits().components) {
    if (!used(component.weights)) continue;
    for (const auto& [name, file] : identity.files.items()) {
      if (name.starts_with(component.name + "/") && (!kept.contains(name) || kept[name] != file)) return name;
    }
  }
  return {};
}

}  // namespace

ModelIdentity identify(const Pipeline& model) {
  ModelIdentity identity;
  std::vector<std::string> of_denoiser;
  for (const WeightFile& file : weight_files_of(model)) {
    identity.files[name_of(file.component, file.path)] = {{"bytes", fs::file_size(file.path)}, {"sha256", file.hash}};
    if (file.component.name == model.traits().denoiser) of_denoiser.push_back(file.hash);
  }
  const std::string hashes = fmt::format("{}", fmt::join(of_denoiser, ""));
  identity.denoiser = of_denoiser.size() == 1 ? hashes : hash_of_text(hashes);
  return identity;
}

void check_same_weights(const Pipeline& model, const ModelIdentity& identity, const nlohmann::ordered_json& kept,
                        const std::string& origin) {
  const std::string changed = first_changed(model, identity, kept, [](const std::set<Phase>& phases) {
    return phases.contains(Phase::encode) || phases.contains(Phase::denoise);
  });
  if (changed.empty()) return;
  throw Error(fmt::format("{}: its denoising began with other weights than {} holds now in {}", origin,
                          model.checkpoint().folder().string(), changed),
              "give --model the checkpoint that began, or generate the clip anew");
}

void warn_of_other_decoder(std::vector<std::string>& warnings, const Pipeline& model, const ModelIdentity& identity,
                           const nlohmann::ordered_json& kept, const std::string& origin) {
  const std::string changed = first_changed(
      model, identity, kept, [](const std::set<Phase>& phases) { return phases.contains(Phase::decode); });
  if (changed.empty()) return;
  warnings.push_back(
      fmt::format("{}: {} in {} is another than was there when its denoising began; the picture may differ", origin,
                  changed, model.checkpoint().folder().string()));
}

}  // namespace bitreel
