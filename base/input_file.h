// Reading files that somebody names: regular ones only, whole, and not larger than their kind can be. A FIFO or a
// device would be waited for without an end: it is refused before it is opened.
//
//   const std::string text = read_file<UsageError>("clip.yaml", {.expected = "a YAML file"});
//   check_regular("clip.mp4", "a video");        // for libraries that open files themselves
//   // clip.mp4: cannot be read: it is a FIFO, expected a video
//
// Links are followed. E: Error, or UsageError where the file is part of what the person asks for.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>

#include "base/error.h"

namespace bitreel {

struct InputKind {
  const char* expected = "a file";
  std::uintmax_t most_bytes = std::uintmax_t{64} << 20;
};

// What is in the way of reading it: "cannot be read: No such file or directory"; empty when nothing is.
std::string obstacle_to_reading(const std::filesystem::path& path);
// The same for reading all of it into `bytes`.
std::string read_into(std::string& bytes, const std::filesystem::path& path, const InputKind& kind);

template <class E = Error>
void check_regular(const std::filesystem::path& path, const char* expected) {
  const std::string obstacle = obstacle_to_reading(path);
  if (!obstacle.empty()) throw E(path.string() + ": " + obstacle + ", expected " + expected);
}

template <class E = Error>
std::string read_file(const std::filesystem::path& path, const InputKind& kind) {
  std::string bytes;
  const std::string obstacle = read_into(bytes, path, kind);
  if (!obstacle.empty()) throw E(path.string() + ": " + obstacle + ", expected " + kind.expected);
  return bytes;
}

}  // namespace bitreel
