// Files that a command writes at its end, whole or not at all.
//
//   check_can_write("scores.json");          // before any work: a mistyped folder should not cost it
//   write_whole("scores.json", text);        // written beside, then renamed
//
//   check_spares("scores.json", {"prompts.json"});
//
// An empty path is nothing to check. Errors: Error naming the file and what is in the way.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

namespace bitreel {

void check_can_write(const std::filesystem::path& path);

// UsageError when the output is one of the files that the command reads, by whatever name.
void check_spares(const std::filesystem::path& path, const std::vector<std::filesystem::path>& inputs);

// And the folders above it. Nothing happens when it is there, or for an empty path.
void make_folder(const std::filesystem::path& folder);

void write_whole(const std::filesystem::path& path, std::string_view bytes);

}  // namespace bitreel
