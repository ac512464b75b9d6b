// The default model's judge on clips of a comparison, where it applies: prompts from a file that says what each clip
// should show (pipelines/quality/score.h), frames of the size and number that the judge reads.
//
//   const ClipJudge judge("assets/prompts/sweep-32.json");
//   judge.all_right("int8-003.mkv", 3);   // whether clip 3 shows all that its prompt asks for; empty: not judged
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <vector>

#include "pipelines/quality/domain.h"
#include "pipelines/quality/score.h"

namespace bitreel {

class ClipJudge {
 public:
  // Judges nothing when the file is empty, no JSON, or says nothing of objects.
  explicit ClipJudge(const std::filesystem::path& prompts_file);

  [[nodiscard]] std::optional<bool> all_right(const std::filesystem::path& clip, std::size_t prompt) const;

 private:
  std::optional<quality::Domain> domain_;
  std::vector<quality::Expectation> asked_;
};

}  // namespace bitreel
