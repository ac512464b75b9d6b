// A file mapped read-only into memory for as long as the object lives.
//
//   watch_mapped_files();                         // once, in main
//   const MappedFile file("model.safetensors");   // Error when it can't be opened, is empty or is not a regular file
//
// A file that is cut short while it is mapped takes its pages along: touching one is SIGBUS, anywhere in the program.
// Watched, that is an error that names the file, and exit code 1; half-written files are removed.
//
//   copy_of_file(file.data(), 4096, room);        // the same bytes, for one who wants them elsewhere
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
  int descriptor_ = -1;
};

void watch_mapped_files();

// Copies bytes of memory. Those of a mapped file are read from it: no page is mapped to be read once and let go, which
// takes longer than the copy. Throws Error when the file has been cut short since.
void copy_of_file(const std::byte* from, std::size_t size, std::byte* to);

}  // namespace bitreel
