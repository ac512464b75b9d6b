#include "app/files/model_identity.h"

#include <fmt/format.h>

#include <functional>
#include <set>

#include "app/files/content_hash.h"
#include "base/error.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

// As files are named in records: "vae/diffusion_pytorch_model.safetensors".
std::string name_of(const Component& component, const fs::path& file) {
  return fmt::format("{}/{}", component.name, file.filename().string());
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
  for (const Component& component : model.traits().components) {
    if (component.weights.empty()) continue;
    std::string hashes;
    const std::vector<fs::path> files = model.checkpoint().weights(component.name).files();
    for (const fs::path& file : files) {
      const std::string hash = content_hash(file);
      identity.files[name_of(component, file)] = {{"bytes", fs::file_size(file)}, {"sha256", hash}};
      hashes += hash;
    }
    if (component.name == model.traits().denoiser)
      identity.denoiser = files.size() == 1 ? hashes : hash_of_text(hashes);
  }
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
