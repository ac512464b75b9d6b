// Reads a JSON file whole; a missing or malformed one is an Error that names it.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

namespace bitreel {

nlohmann::json read_json(const std::filesystem::path& path);

}  // namespace bitreel
