// A file mapped read-only into memory for as long as the object lives.
//
//   watch_mapped_files();                         // once, in main
//   const MappedFile file("model.safetensors");   // Error when it can't be opened, is empty or is not a regular file
//
// A file that is cut short while it is mapped takes its pages along: touching one is SIGBUS, anywhere in the program.
// Watched, that is an error that names the file, and exit code 1; half-written files are removed.
#pragma once

#include <cstddef>
#include <filesystem>

namespace bitreel {

class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  [[nodiscard]] const std::byte* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  // These bytes have been copied: their whole pages no longer count as this process's memory. Read again, they come
  // from the file again.
  void let_go(const std::byte* begin, std::size_t size) const;

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

void watch_mapped_files();

}  // namespace bitreel
