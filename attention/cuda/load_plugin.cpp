#include "attention/cuda/load_plugin.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <optional>
#include <vector>

#include "attention/cuda/load_cuda.h"
#include "base/error.h"

namespace bitreel::cuda {
namespace {

constexpr const char* file_name = "libbitreel_cuda.so";

std::vector<std::filesystem::path> places() {
  if (const char* given = std::getenv("BITREEL_CUDA_PLUGIN"); given != nullptr) return {given};
  std::error_code unreadable;
  const std::filesystem::path folder = std::filesystem::read_symlink("/proc/self/exe", unreadable).parent_path();
  return {folder / file_name, folder.parent_path() / file_name};
}

struct Loaded {
  const Plugin* plugin = nullptr;
  void* library = nullptr;
  std::string missing = {};
};

Loaded load() {
  std::string looked_in;
  for (const std::filesystem::path& place : places()) {
    looked_in += (looked_in.empty() ? "" : ", ") + place.string();
    if (!std::filesystem::exists(place)) continue;
    // Stays open: its kernels are registered for the life of the process.
    void* const library = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return {.missing = fmt::format("{} can't be loaded: {}", place.string(), dlerror())};
    const auto entry = reinterpret_cast<PluginEntry>(dlsym(library, plugin_entry));
    const Plugin* const plugin = entry == nullptr ? nullptr : entry(plugin_version);
    if (plugin == nullptr) {
      return {.missing = fmt::format("{} was built from other sources than this program; build both", place.string())};
    }
    return {.plugin = plugin, .library = library};
  }
  return {.missing =
              fmt::format("no {} (looked for {}); ./dev build --cuda makes it where nvcc is", file_name, looked_in)};
}

const Loaded& loaded() {
  static const Loaded once = load();
  return once;
}

}  // namespace

std::string missing_plugin() {
  if (!cuda_is_loaded()) return "no GPU is in use";
  return loaded().missing;
}

const Plugin& loaded_plugin() {
  if (const std::string missing = missing_plugin(); !missing.empty()) throw Error(missing);
  return *loaded().plugin;
}

void* plugin_symbol(const char* name) {
  return missing_plugin().empty() ? dlsym(loaded().library, name) : nullptr;
}

}  // namespace bitreel::cuda
