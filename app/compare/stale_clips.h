// What an earlier comparison left in a folder that is used again, and that this one would leave beside its own.
//
//   refuse_stale_clips("out/compare", {.variants = {"full", "int8"}, .prompts = 8});
//
// A page beside clips that it says nothing of would be mistaken for theirs. Clips that this comparison has are not
// stale: it goes on from them, or renders them again where their settings have changed.
// Errors: Error naming the variants and clips that are another's, before any work.
#pragma once

#include <cstddef>
#include <filesystem>
#include <set>
#include <string>

namespace bitreel {

struct ClipsOfComparison {
  std::set<std::string> variants;
  std::size_t prompts = 0;
};

void refuse_stale_clips(const std::filesystem::path& folder, const ClipsOfComparison& own);

}  // namespace bitreel
