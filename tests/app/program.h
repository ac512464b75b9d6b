// Runs the real bitreel program as a person would, on the tiny random models of tests/golden/.
//
//   const Outcome outcome = run_bitreel({"info", "tests/golden/cog2b/model"});
//   EXPECT_EQ(outcome.code, 0) << outcome.err;
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace bitreel::test {

using Strings = std::vector<std::string>;

struct Outcome {
  int code = 0;  // the exit status, or 1000 + the signal that ended it
  std::string out;
  std::string err;
};

struct ProgramOptions {
  std::optional<std::size_t> file_size_limit = {};  // bytes; a file that would grow beyond is a full disk
  std::string signal_after = {};        // once this text is on stderr or stdout (step_event: never too late) ...
  int signal = 0;                       // ... the program gets this signal
  std::string signal_again_after = {};  // and, if not empty, once more after this text
  std::string program = {};             // another file than the one that was built
  std::function<void()> in_child = {};  // last before the program starts: closes streams, sets limits
};

// What --progress json writes once so many steps of a phase are complete. At most 80 more steps of a phase are done
// before the signal that follows it.
std::string step_event(const std::string& phase, int step);

Outcome run_bitreel(const std::vector<std::string>& arguments, const ProgramOptions& options = {});

// The golden models that the tests run on: CogVideoX-2b in small, 48x32, 17 frames.
inline const std::string tiny_model = "tests/golden/cog2b/model";
// And UniDiffuser in small.
inline const std::string tiny_joint = "tests/golden/unidiffuser/model";

// Arguments of a quick clip of the tiny model: 2 steps into `output`.
std::vector<std::string> quick_clip(const std::filesystem::path& output);
std::vector<std::string> operator+(std::vector<std::string> arguments, const std::vector<std::string>& more);

// The weights' own type, which is not every CPU's default.
inline const std::vector<std::string> in_bf16 = {"--dtype", "bf16"};

}  // namespace bitreel::test
