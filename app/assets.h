// Where the files are that come with the program: the default model, prompts, configurations.
//
//   const std::filesystem::path model = asset("assets/pocket");
//
// They are looked for from the program's own folder upwards, in share/bitreel of each folder and in the folder itself:
// an installed program (/usr/local/bin and /usr/local/share/bitreel), an unpacked archive and a build folder within the
// source tree all find theirs. BITREEL_HOME names another folder.
#pragma once

#include <filesystem>

namespace bitreel {

// relative: as in the source tree. Error when there is no such folder of files; the file itself may be missing.
std::filesystem::path asset(const std::filesystem::path& relative);

}  // namespace bitreel
