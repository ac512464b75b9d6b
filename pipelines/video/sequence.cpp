#include "pipelines/video/sequence.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "base/error.h"
#include "base/partial.h"
#include "base/png.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

void make_one_folder(const fs::path& folder) {
  std::error_code failed;
  fs::create_directory(folder, failed);
  if (failed) throw Error(fmt::format("{}: cannot make the folder: {}", folder.string(), failed.message()));
}

class Sequence : public FrameSink {
 public:
  // Beside the folder, or inside it when it exists: it may be the root of another disk.
  explicit Sequence(const SequenceName& name)
      : name_(name), partial_(fs::exists(name.folder) ? name.folder / "frames" : name.folder) {
    make_one_folder(partial_.path());
  }

  // A folder that was made for a sequence which didn't come to be goes again; one with files in it stays.
  ~Sequence() override {
    std::error_code not_empty;
    if (folder_is_new_) fs::remove(name_.folder, not_empty);
  }

  void push(const Frame& frame) override {
    const fs::path target = name_.file(++count_);
    write_file(partial_.path() / target.filename(), png_of(frame.rgb, {.width = frame.width, .height = frame.height}),
               target.string());
  }

  void complete() override {
    if (fs::exists(name_.folder)) return;
    make_one_folder(name_.folder);
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
  // One % and behind it d or 0Nd.
  const std::size_t percent = name.find('%');
  const std::size_t digits = percent + 1;
  const bool counted = percent != std::string::npos && digits + 1 < name.size() && name[digits] == '0' &&
                       name[digits + 1] >= '1' && name[digits + 1] <= '9';
  const std::size_t letter = counted ? digits + 2 : digits;
  if (percent == std::string::npos || name.find('%', digits) != std::string::npos || letter >= name.size() ||
      name[letter] != 'd') {
    throw UsageError(
        fmt::format("`output` {}: expected one %d or %04d, the place of the frame's number", path.string()),
        fmt::format("try {}_%04d.png", name.substr(0, std::min(percent, name.size() - 4))));
  }
  return {.folder = path.has_parent_path() ? path.parent_path() : fs::path("."),
          .before = name.substr(0, percent),
          .after = name.substr(letter + 1),
          .digits = counted ? name[digits + 1] - '0' : 0};
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
  std::string escaped;
  for (const char letter : folder.string()) escaped += letter == '%' ? std::string("%%") : std::string(1, letter);
  return fmt::format("{}/{}%0{}d{}", escaped, before, digits, after);
}

std::unique_ptr<FrameSink> write_sequence(const fs::path& path) {
  return std::make_unique<Sequence>(parse_sequence(path));
}

}  // namespace bitreel
