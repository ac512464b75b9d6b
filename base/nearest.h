// "Did you mean": the known name closest to one that is not known.
//
//   nearest("transfomer", {"transformer", "vae"})   // "transformer"
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bitreel {

// By Levenshtein distance; empty when nothing is close enough to be what was meant (more than 40 % differs), or it is
// longer than 256 bytes.
std::string nearest(std::string_view wanted, const std::vector<std::string>& known);

}  // namespace bitreel
