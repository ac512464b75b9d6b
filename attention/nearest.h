// "Did you mean": the known name that a mistyped one is closest to, for the hints of errors.
//
//   nearest("--num-frame", {"--num-frames", "--steps"});      // "--num-frames"
//   nearest("zzz", {"--num-frames", "--steps"});              // nothing: no name is close enough to be meant
//
// Distance is Levenshtein's (insert, delete, replace), close enough is at most a third of the longer name.
// Here, beside the error type, because attention/ is the lowest room.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bitreel {

std::optional<std::string> nearest(std::string_view name, const std::vector<std::string>& known);

}  // namespace bitreel
