// What the fuzz targets share. Each is one reader in libFuzzer's form; `./dev fuzz` builds and runs them.
//
//   extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
//     return refused_or_read([&] { (void)plan_from_yaml(text_of(data, size), "plan.yaml"); });
//   }
//
// Errors of ours are answers. Any other exception, a sanitizer's complaint, 256 MiB in one piece or 5 s are findings,
// and become a test of the reader's own test file.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/error.h"

namespace bitreel::fuzz {

inline std::string text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

template <class Action>
int refused_or_read(Action&& action) {
  try {
    action();
  } catch (const Error&) {  // one clear error
  }
  return 0;
}

// A folder in memory, where there is one, whose files an input replaces: readers take paths.
class Folder {
 public:
  Folder() {
    const bool memory = std::filesystem::is_directory("/dev/shm");
    std::string name = std::string(memory ? "/dev/shm" : "/tmp") + "/bitreel-fuzz-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::filesystem::path write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path_ / name, std::ios::binary | std::ios::trunc) << bytes;
    return path_ / name;
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace bitreel::fuzz
