// bitreel info: what a checkpoint folder, a video or a safetensors file holds.
//
//   bitreel info assets/pocket
//   bitreel info out/demo.mp4
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>

namespace bitreel {

void add_info(CLI::App& app);

// The text that the command prints.
std::string describe(const std::filesystem::path& path);

}  // namespace bitreel
