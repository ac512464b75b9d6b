// A file mapped read-only into memory for as long as the object lives.
#pragma once

#include <cstddef>
#include <filesystem>

namespace bitreel {

class MappedFile {
 public:
  // Throws Error when the file can't be opened, is empty or is not a regular file.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  [[nodiscard]] const std::byte* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace bitreel
