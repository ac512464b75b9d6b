// index.html of a batch: its clips to look at, filtered by state and by the settings that differ, its failures with
// what they said. Opens from a disk; clips are loaded as they come into view.
//
//   write_whole("out/index.html", gallery_page(read_json("out/results.json"), "out"));
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace bitreel {

std::string gallery_page(const nlohmann::ordered_json& results, const std::string& title);

}  // namespace bitreel
