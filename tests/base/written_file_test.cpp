#include "base/written_file.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "base/error.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

TEST(WrittenFile, FoldersAreMadeWithThoseAboveThem) {
  const fs::path top = fs::path(testing::TempDir()) / "written_file";
  fs::remove_all(top);
  make_folder("");
  make_folder(top / "a/b");
  make_folder(top / "a/b");
  EXPECT_TRUE(fs::is_directory(top / "a/b"));
  write_whole(top / "file", "text");
  EXPECT_THAT([&] { make_folder(top / "file/below"); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("file/below can't be made: Not a directory")));
}

}  // namespace
}  // namespace bitreel
