// Which files a run writes: a video; or pictures and texts, one a sample and numbered when there are several.
//
//   const fs::path output = output_for("out/cat", joint, 7);                     // out/cat.png
//   output_files(output, joint, 1).texts.front();                                // out/cat.txt
//   output_files(output, joint, 3).pictures.back();                              // out/cat-3.png
//
// Errors: UsageError for a name that ends like none of what the mode makes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "pipelines/model/modes.h"

namespace bitreel {

struct OutputFiles {
  std::filesystem::path name;   // that the run goes by, its sidecar and its latents too
  std::filesystem::path video;  // empty unless the mode makes one
  std::vector<std::filesystem::path> pictures, texts;

  [[nodiscard]] std::vector<std::filesystem::path> all() const;
};

// ".mp4", ".png" or ".txt".
const char* default_extension(const Mode& mode);

// The name that a run goes by, with an extension: of the video, the picture, else the text. asked: empty for one of the
// seed's.
std::filesystem::path output_for(const std::filesystem::path& asked, const Mode& mode, std::uint64_t seed);

// Of one of several samples: "cat.png" -> "cat-3.png".
std::filesystem::path numbered(const std::filesystem::path& path, std::int64_t sample, std::int64_t count);

OutputFiles output_files(const std::filesystem::path& output, const Mode& mode, std::int64_t count);

// Where their provenance goes, one file for all.
std::filesystem::path sidecar_of(const OutputFiles& files);

}  // namespace bitreel
