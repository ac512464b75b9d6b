// Hashes of weight files: right, and read once.
#include "app/files/content_hash.h"

#include <gmock/gmock.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>

#include "base/error.h"
#include "tests/files.h"
#include "tests/temporary_folder.h"

namespace bitreel::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* of_zeros = "3b6a07d0d404fab4e23b6d34bc6696a6a312dd92821332385e5af7c01c421351";  // 64 MiB of them

// $XDG_CACHE_HOME, while it lives.
class CacheFolder {
 public:
  explicit CacheFolder(const fs::path& folder) { setenv("XDG_CACHE_HOME", folder.c_str(), 1); }
  ~CacheFolder() {
    if (before_) {
      setenv("XDG_CACHE_HOME", before_->c_str(), 1);
    } else {
      unsetenv("XDG_CACHE_HOME");
    }
  }
  CacheFolder(const CacheFolder&) = delete;
  CacheFolder& operator=(const CacheFolder&) = delete;

 private:
  static std::optional<std::string> value() {
    const char* const text = std::getenv("XDG_CACHE_HOME");
    return text == nullptr ? std::nullopt : std::optional<std::string>(text);
  }
  const std::optional<std::string> before_ = value();
};

// As large as the smallest that are remembered, changed an hour ago.
fs::path large_file(const TemporaryFolder& folder) {
  fs::path file = folder / "weights.safetensors";
  std::ofstream(file).close();
  fs::resize_file(file, remembered_from_bytes);
  fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(1));
  return file;
}

// Other content; size and time stay.
void change_unseen(const fs::path& file) {
  const fs::file_time_type time = fs::last_write_time(file);
  std::fstream(file, std::ios::in | std::ios::out | std::ios::binary).put('x');
  fs::last_write_time(file, time);
}

TEST(ContentHash, IsTheSha256OfTheWholeFile) {
  const TemporaryFolder folder;
  EXPECT_EQ(content_hash(write_text(folder / "a", "abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");  // FIPS 180-2, B.1
  EXPECT_EQ(hash_of_text("abc"), content_hash(folder / "a"));
  EXPECT_THROW(content_hash(folder / "none"), Error);
}

TEST(ContentHash, OfALargeFileIsReadOnceUntilTheFileChanges) {
  const TemporaryFolder folder;
  const CacheFolder cache(folder / "cache");
  const fs::path file = large_file(folder);
  EXPECT_EQ(content_hash(file), of_zeros);
  EXPECT_FALSE(fs::is_empty(folder / "cache/bitreel/hashes"));
  change_unseen(file);
  EXPECT_EQ(content_hash(file), of_zeros) << "remembered";
  fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(2));
  EXPECT_NE(content_hash(file), of_zeros) << "read again";
}

TEST(ContentHash, IsNotRememberedOfAFileThatMayStillChangeInThisTick) {
  const TemporaryFolder folder;
  const CacheFolder cache(folder / "cache");
  const fs::path file = large_file(folder);
  fs::last_write_time(file, fs::file_time_type::clock::now());
  EXPECT_EQ(content_hash(file), of_zeros);
  EXPECT_FALSE(fs::exists(folder / "cache"));
}

TEST(ContentHash, OfSmallFilesLeavesNothingBehind) {
  const TemporaryFolder folder;
  const CacheFolder cache(folder / "cache");
  (void)content_hash(write_text(folder / "a", "abc"));
  EXPECT_FALSE(fs::exists(folder / "cache"));
}

TEST(ContentHash, DoesWithoutAFolderToRememberIn) {
  const TemporaryFolder folder;
  const CacheFolder cache(write_text(folder / "a file", "") / "cache");
  const fs::path file = large_file(folder);
  EXPECT_EQ(content_hash(file), of_zeros);
  change_unseen(file);
  EXPECT_NE(content_hash(file), of_zeros);
}

TEST(ContentHash, ForgetsWhatItCannotRead) {
  const TemporaryFolder folder;
  const CacheFolder cache(folder / "cache");
  const fs::path file = large_file(folder);
  ASSERT_EQ(content_hash(file), of_zeros);
  for (const auto& entry : fs::directory_iterator(folder / "cache/bitreel/hashes")) write_text(entry.path(), "{\"sha");
  EXPECT_EQ(content_hash(file), of_zeros);
  const std::string deep = "{\"sha256\":\"0\",\"file\":" + std::string(200'000, '[') + std::string(200'000, ']') + "}";
  for (const auto& entry : fs::directory_iterator(folder / "cache/bitreel/hashes")) write_text(entry.path(), deep);
  EXPECT_EQ(content_hash(file), of_zeros);
}

}  // namespace
}  // namespace bitreel::test
