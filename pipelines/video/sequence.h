// A clip as numbered PNG pictures: frames/ (frame_0001.png, frame_0002.png, ...) or a pattern of one's own.
//
//   const SequenceName name = parse_sequence("out/red_%04d.png");
//   name.file(1);      // out/red_0001.png
//   name.sidecar();    // out/red.json
//
// Errors: UsageError for a .png name without one %d or %0Nd.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "pipelines/video/sink.h"

namespace bitreel {

struct SequenceName {
  std::filesystem::path folder;
  std::string before;  // the number
  std::string after;
  int digits = 0;

  [[nodiscard]] std::filesystem::path file(int number) const;  // from 1
  [[nodiscard]] std::filesystem::path sidecar() const;
  [[nodiscard]] std::string pattern() const;  // as libav's image2 reads it, the folder's own % signs escaped
};

bool is_sequence(const std::filesystem::path& path);  // ends in '/' or .png
SequenceName parse_sequence(const std::filesystem::path& path);

// Pictures are written into a folder beside and take their names together; the folder is made when it is not there.
std::unique_ptr<FrameSink> write_sequence(const std::filesystem::path& path);

}  // namespace bitreel
