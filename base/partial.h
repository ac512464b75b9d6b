// Files that are written beside and renamed when complete.
//
//   Partial partial("out/clip.mp4");              // out/.clip.partial-4711.mp4, removed unless published
//   write_file(partial.path(), bytes, "out/clip.mp4");
//   partial.publish();                            // now out/clip.mp4, in one rename
//
// The name beside is never longer than a file system takes: a long stem is cut there.
// Errors: Error with the system's reason (a full disk, a folder that went away).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

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
  int slot_;  // in the table that remove_partials_at_once() goes through
};

// For signal handlers of a process that is about to end without its destructors: removes what is not published, by
// system calls alone.
void remove_partials_at_once();

// rename(2): in one step, replacing what has the name.
void rename_file(const std::filesystem::path& from, const std::filesystem::path& to);

// All of it, or an Error that calls it by its name-to-be.
void write_file(const std::filesystem::path& path, std::string_view bytes, const std::string& name);
// One after the other.
void write_file(const std::filesystem::path& path, const std::vector<std::string_view>& parts, const std::string& name);

}  // namespace bitreel
