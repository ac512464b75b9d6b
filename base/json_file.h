// Reads a JSON file whole; a missing or malformed one is an Error that names it. Python's bare words Infinity,
// -Infinity and NaN are read as strings.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

namespace bitreel {

nlohmann::json read_json(const std::filesystem::path& path);

}  // namespace bitreel
