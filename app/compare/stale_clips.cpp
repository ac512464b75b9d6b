#include "app/compare/stale_clips.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <regex>
#include <vector>

#include "base/error.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

// The prompts that a variant's folder has clips of; none when it is no variant's folder.
std::set<std::size_t> clips_in(const fs::path& folder) {
  static const std::regex facts(R"(clip-([0-9]{3,9})\.facts\.json)");
  std::set<std::size_t> prompts;
  for (const auto& entry : fs::directory_iterator(folder)) {
    std::smatch match;
    const std::string name = entry.path().filename().string();
    if (std::regex_match(name, match, facts)) prompts.insert(std::stoul(match[1].str()));
  }
  return prompts;
}

}  // namespace

void refuse_stale_clips(const fs::path& folder, const ClipsOfComparison& own) {
  if (!fs::is_directory(folder)) return;
  std::vector<std::string> stale;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (!entry.is_directory()) continue;
    const std::string name = entry.path().filename().string();
    const std::set<std::size_t> prompts = clips_in(entry.path());
    if (prompts.empty()) continue;
    if (!own.variants.contains(name)) {
      stale.push_back(name);
    } else if (*prompts.rbegin() >= own.prompts) {
      stale.push_back(fmt::format("{}/clip-{:03}", name, *prompts.rbegin()));
    }
  }
  if (stale.empty()) return;
  throw Error(fmt::format("{} holds clips of another comparison: {}", folder.string(), fmt::join(stale, ", ")),
              "give another --output, or remove that folder");
}

}  // namespace bitreel
