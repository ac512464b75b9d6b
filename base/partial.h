// Files that are written beside and renamed when complete.
//
//   Partial partial("out/clip.mp4");              // out/.clip.partial-4711.mp4, removed unless published
//   write_file(partial.path(), bytes, "out/clip.mp4");
//   partial.publish();                            // now out/clip.mp4, in one rename
//
// Errors: Error with the system's reason (a full disk, a folder that went away).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace bitreel {

class Partial {
 public:
  explicit Partial(const std::filesystem::path& target);
  ~Partial();  // removes what was not published, file or folder
  Partial(const Partial&) = delete;
  Partial& operator=(const Partial&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  void publish() const;

 private:
  std::filesystem::path target_;
  std::filesystem::path path_;
};

// rename(2): in one step, replacing what has the name.
void rename_file(const std::filesystem::path& from, const std::filesystem::path& to);

// All of it, or an Error that calls it by its name-to-be.
void write_file(const std::filesystem::path& path, std::string_view bytes, const std::string& name);

}  // namespace bitreel
