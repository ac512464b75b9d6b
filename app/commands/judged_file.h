// What bitreel judge reads: a clip, a still picture or a caption, by the file's extension.
//
//   const JudgedFile file = read_judged("tests/data/stills/003.png", domain);
//   file.frames[0];   // CV_8UC3, RGB
//   file.prompt;      // of its provenance, where it states one
//
// .txt is a caption, PNG, JPEG and WebP are pictures, the rest are clips. Clips and pictures of another size than the
// domain's, and clips of another length, are errors that name the file.
#pragma once

#include <filesystem>
#include <opencv2/core.hpp>
#include <string>
#include <vector>

#include "pipelines/quality/domain.h"

namespace bitreel {

enum class JudgedKind { clip, picture, caption };

[[nodiscard]] JudgedKind judged_kind(const std::filesystem::path& file);

struct JudgedFile {
  JudgedKind kind = JudgedKind::clip;
  std::vector<cv::Mat> frames;  // one of a picture, none of a caption
  std::string caption;
  std::string prompt;  // empty: not known
};

[[nodiscard]] JudgedFile read_judged(const std::filesystem::path& file, const quality::Domain& domain);

// The text of a caption's file, without the white space around it; an empty one is an error.
[[nodiscard]] std::string read_caption_file(const std::filesystem::path& file);

}  // namespace bitreel
