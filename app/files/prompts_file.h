// A file of prompts: JSON as in assets/prompts ([{"prompt": "a red circle moves right", ...}, ...]), or text with one
// prompt a line.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace bitreel {

// At least one. UsageError otherwise, or when the file can't be read.
std::vector<std::string> read_prompts(const std::filesystem::path& file);

}  // namespace bitreel
