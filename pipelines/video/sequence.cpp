#include "pipelines/video/sequence.h"

#include <fmt/format.h>

#include <opencv2/core/mat.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <regex>
#include <system_error>
#include <vector>

#include "attention/error.h"
#include "pipelines/video/partial.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

void make_folder(const fs::path& folder) {
  std::error_code failed;
  fs::create_directory(folder, failed);
  if (failed) throw Error(fmt::format("{}: cannot make the folder: {}", folder.string(), failed.message()));
}

class Sequence : public FrameSink {
 public:
  // Beside the folder, or inside it when it exists: it may be the root of another disk.
  explicit Sequence(const SequenceName& name)
      : name_(name), partial_(fs::exists(name.folder) ? name.folder / "frames" : name.folder) {
    make_folder(partial_.path());
  }

  // A folder that was made for a sequence which didn't come to be goes again; one with files in it stays.
  ~Sequence() override {
    std::error_code not_empty;
    if (folder_is_new_) fs::remove(name_.folder, not_empty);
  }

  void push(const Frame& frame) override {
    const cv::Mat rgb(frame.height, frame.width, CV_8UC3, const_cast<std::uint8_t*>(frame.rgb));
    cv::Mat bgr;
    cv::cvtColor(rgb, bgr, cv::COLOR_RGB2BGR);
    std::vector<std::uint8_t> png;
    cv::imencode(".png", bgr, png);
    const fs::path target = name_.file(++count_);
    write_file(partial_.path() / target.filename(), {reinterpret_cast<const char*>(png.data()), png.size()},
               target.string());
  }

  void complete() override {
    if (fs::exists(name_.folder)) return;
    make_folder(name_.folder);
    folder_is_new_ = true;
  }

  void publish() override {
    for (int number = 1; number <= count_; ++number) {
      const fs::path target = name_.file(number);
      rename_file(partial_.path() / target.filename(), target);
    }
  }

 private:
  SequenceName name_;
  Partial partial_;
  int count_ = 0;
  bool folder_is_new_ = false;
};

}  // namespace

bool is_sequence(const fs::path& path) {
  const std::string extension = path.extension().string();
  return !path.has_filename() || extension == ".png" || extension == ".PNG";
}

SequenceName parse_sequence(const fs::path& path) {
  const std::string name = path.has_filename() ? path.filename().string() : "frame_%04d.png";
  static const std::regex numbered("([^%]*)%(?:0([1-9]))?d([^%]*)");
  std::smatch parts;
  if (!std::regex_match(name, parts, numbered)) {
    throw UsageError(fmt::format("--output {}: expected a place for the frame's number", path.string()),
                     fmt::format("try {}_%04d.png", path.stem().string()));
  }
  return {.folder = path.has_parent_path() ? path.parent_path() : fs::path("."),
          .before = parts[1],
          .after = parts[3],
          .digits = parts[2].matched ? std::stoi(parts[2]) : 0};
}

fs::path SequenceName::file(int number) const {
  return folder / fmt::format("{}{:0{}}{}", before, number, digits, after);
}

fs::path SequenceName::sidecar() const {
  std::string stem = before;
  while (!stem.empty() && std::string("_-. ").find(stem.back()) != std::string::npos) stem.pop_back();
  return folder / (stem.empty() ? "frames.json" : stem + ".json");
}

std::string SequenceName::pattern() const {
  const std::string escaped = std::regex_replace(folder.string(), std::regex("%"), "%%");
  return fmt::format("{}/{}%0{}d{}", escaped, before, digits, after);
}

std::unique_ptr<FrameSink> write_sequence(const fs::path& path) {
  return std::make_unique<Sequence>(parse_sequence(path));
}

}  // namespace bitreel
