// Files that are no videos, and what a reader says of files that others made.
#include "pipelines/video/reader.h"

#include <gmock/gmock.h>

#include "tests/error_text.h"
#include "tests/files.h"
#include "tests/pipelines/video/clips.h"

namespace bitreel::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string error_of(const std::filesystem::path& path) {
  return error_text([&] { (void)inspect_video(path); });
}

TEST(Reader, RefusesWhatIsNoVideo) {
  const TemporaryFolder folder;
  write_text(folder / "text.mp4", std::string(10'000, 'x'));
  write_text(folder / "empty.mp4", "");
  std::filesystem::create_directory(folder / "folder");
  ::testing::internal::CaptureStderr();
  EXPECT_THAT(error_of(folder / "none.mp4"),
              HasSubstr("none.mp4: cannot be read: No such file or directory, expected a video file"));
  EXPECT_THAT(error_of(folder / "text.mp4"), HasSubstr("text.mp4: cannot read: Invalid data"));
  EXPECT_THAT(error_of(folder / "empty.mp4"), HasSubstr("empty.mp4: cannot read: "));
  EXPECT_THAT(error_of(folder / "folder"), HasSubstr("folder: is a folder, expected a video file"));
  EXPECT_THAT(error_of(folder / "folder/"), HasSubstr("cannot read"));
  EXPECT_THAT(error_of(folder / "a_%04d.png"), HasSubstr("cannot read"));
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), IsEmpty());
}

// A byte changed in the middle: FFV1 carries a checksum per slice.
TEST(Reader, NoticesDamage) {
  const TemporaryFolder folder;
  write_clip(folder / "clip.mkv", {}, draw_clip(96, 64, 9));
  std::string bytes = read_text(folder / "clip.mkv");
  for (std::size_t i = bytes.size() / 2; i < bytes.size() / 2 + 16; ++i) bytes[i] = static_cast<char>(~bytes[i]);
  write_text(folder / "clip.mkv", bytes);
  EXPECT_THAT(error_of(folder / "clip.mkv"), HasSubstr("clip.mkv: "));
}

TEST(Reader, FramesComeInOrderAndThenNoMore) {
  const TemporaryFolder folder;
  const std::vector<Image> clip = draw_clip(64, 64, 12);
  write_clip(folder / "clip.mp4", {}, clip);  // with B-frames, stored in another order
  VideoReader reader(folder / "clip.mp4");
  EXPECT_FALSE(reader.info().frames.has_value()) << "only inspect_video counts";
  for (std::size_t i = 0; i < clip.size(); ++i) {
    const std::optional<Frame> frame = reader.next();
    ASSERT_TRUE(frame.has_value());
    const Image read{.width = 64, .height = 64, .rgb = {frame->rgb, frame->rgb + std::size_t(64) * 64 * 3}};
    const double here = psnr(clip[i], read);
    for (std::size_t other = 0; other < clip.size(); ++other) {
      if (other == i) continue;
      EXPECT_GT(here, psnr(clip[other], read)) << "frame " << i << " looks like " << other;
    }
  }
  EXPECT_FALSE(reader.next().has_value());
  EXPECT_FALSE(reader.next().has_value());
}

}  // namespace
}  // namespace bitreel::test
