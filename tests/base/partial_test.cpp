// Half-written files: their names, and that they go.
#include "base/partial.h"

#include <gmock/gmock.h>

#include <climits>

#include "base/written_file.h"
#include "tests/error_text.h"
#include "tests/files.h"
#include "tests/temporary_folder.h"

namespace bitreel::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(Partial, HasANameThatFitsWhateverItsTargets) {
  const TemporaryFolder folder;
  for (const std::size_t length : {1U, 200U, 225U, 251U}) {
    const auto target = folder / (std::string(length, 'n') + ".mp4");
    const Partial partial(target);
    EXPECT_LE(partial.path().filename().string().size(), static_cast<std::size_t>(NAME_MAX));
    write_file(partial.path(), "bytes", "clip");
    partial.publish();
    EXPECT_EQ(read_text(target), "bytes");
  }
}

TEST(Partial, GoesAtOnceWhenTheProcessIsAboutToEnd) {
  const TemporaryFolder folder;
  const Partial file(folder / "clip.mp4"), pictures(folder / "frames"), published(folder / "clip.json");
  write_file(file.path(), "bytes", "clip");
  write_file(published.path(), "bytes", "clip");
  published.publish();
  std::filesystem::create_directory(pictures.path());
  for (int i = 0; i < 300; ++i) write_text(pictures.path() / (std::string(60, 'f') + std::to_string(i)), "x");
  ASSERT_THAT(folder.names(), SizeIs(3));
  remove_partials_at_once();
  EXPECT_THAT(folder.names(), ElementsAre("clip.json"));
}

TEST(Partial, AreForgottenWhenTheyAreGone) {
  const TemporaryFolder folder;
  for (int i = 0; i < 100; ++i) const Partial partial(folder / "a");  // more than fit into the table at a time
  const Partial again(folder / "b");
  write_file(again.path(), "x", "b");
  remove_partials_at_once();
  EXPECT_THAT(folder.names(), IsEmpty());
}

TEST(WrittenFile, SparesWhatIsReadAndWhatIsNoFile) {
  const TemporaryFolder folder;
  write_text(folder / "m.json", "measured");
  std::filesystem::create_symlink("m.json", folder / "link.json");
  EXPECT_THAT(error_text<UsageError>([&] {
                check_spares(folder / "link.json", {"none", folder / "m.json"});
              }),
              HasSubstr("link.json would be overwritten: it is read as well"));
  check_spares(folder / "new.json", {folder / "m.json"});
  check_spares("", {folder / "m.json"});
  EXPECT_THAT(error_text([&] { check_can_write("/dev/null"); }), HasSubstr("/dev/null is not a file"));
  EXPECT_THAT(error_text([&] { write_whole("/dev/full/x", "bytes"); }), HasSubstr("Not a directory"));
}

}  // namespace
}  // namespace bitreel::test
