// Many clips on one picture: a few frames of each in a row, with lines of text under them; of a clip of one frame, a
// still, that frame with the text beside it.
//
//   ContactSheet sheet;
//   sheet.add(frames, {{"a red circle moves right", Verdict::plain}, {"red circle right", Verdict::right}});
//   sheet.save("sheet.png");
//
// Frames are CV_8UC3 in RGB order. The picture is written beside and renamed when complete.
#pragma once

#include <filesystem>
#include <opencv2/core.hpp>
#include <string>
#include <vector>

namespace bitreel {

// plain: black, right: green, wrong: red.
enum class Verdict { plain, right, wrong };

struct Caption {
  std::string text;
  Verdict verdict = Verdict::plain;
};

class ContactSheet {
 public:
  static constexpr int shown = 5;  // frames of each clip, the first and the last among them

  void add(const std::vector<cv::Mat>& frames, const std::vector<Caption>& captions);
  void save(const std::filesystem::path& path) const;

 private:
  std::vector<cv::Mat> strips_;
};

}  // namespace bitreel
