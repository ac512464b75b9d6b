// A writer's life: nothing has the output's name before finish(), everything after it.
#include "pipelines/video/writer.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "base/error.h"
#include "pipelines/video/codecs.h"
#include "pipelines/video/output.h"
#include "pipelines/video/reader.h"
#include "tests/error_text.h"
#include "tests/files.h"
#include "tests/pipelines/video/clips.h"

namespace bitreel::test {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Writer : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  const std::vector<Image> clip_ = draw_clip(64, 48, 4);
};

class UnfinishedWriter : public Writer, public ::testing::WithParamInterface<const char*> {};

TEST_P(UnfinishedWriter, LeavesNothing) {
  {
    VideoWriter writer(folder_ / GetParam(), {}, 64, 48, provenance_of("x"));
    for (const Image& image : clip_) writer.push(image.frame());
    const std::vector<std::string> names = folder_.names();
    ASSERT_EQ(names.size(), 1U);
    EXPECT_THAT(names[0], ::testing::MatchesRegex("\\..+\\.partial-[0-9]+.*")) << "written beside, hidden";
  }
  EXPECT_THAT(folder_.names(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(All, UnfinishedWriter,
                         ::testing::Values("clip.mp4", "clip.webm", "clip.mkv", "clip.mov", "clip.gif", "a_%04d.png",
                                           "frames/"));

TEST_F(Writer, UnfinishedSparesTheClipThatWasThere) {
  write_clip(folder_ / "clip.mp4", {}, clip_, provenance_of("first"));
  const std::string before = read_text(folder_ / "clip.mp4");
  {
    VideoWriter writer(folder_ / "clip.mp4", {}, 64, 48, provenance_of("second"));
    writer.push(clip_[0].frame());
  }
  EXPECT_EQ(read_text(folder_ / "clip.mp4"), before);
  EXPECT_THAT(read_text(folder_ / "clip.mp4.json"), HasSubstr("first"));
}

TEST_F(Writer, FinishedReplacesTheClipThatWasThere) {
  write_clip(folder_ / "clip.mp4", {}, clip_, provenance_of("first"));
  write_clip(folder_ / "clip.mp4", {}, draw_clip(64, 48, 2), provenance_of("second"));
  EXPECT_EQ(inspect_video(folder_ / "clip.mp4").frames, 2);
  EXPECT_THAT(read_text(folder_ / "clip.mp4.json"), HasSubstr("second"));
  EXPECT_THAT(folder_.names(), ElementsAre("clip.mp4", "clip.mp4.json"));
}

TEST_F(Writer, WithoutProvenanceThereIsNoTrace) {
  write_clip(folder_ / "clip.mp4", {}, clip_);
  EXPECT_THAT(folder_.names(), ElementsAre("clip.mp4"));
  EXPECT_EQ(inspect_video(folder_ / "clip.mp4").comment, "");
}

TEST_F(Writer, EncodersLeaveTheirSettingsOut) {
  const std::vector<Image> clip = draw_clip(64, 64, 4);
  for (const Codec& codec : codecs()) {
    for (const std::string_view extension : codec.extensions) {
      if (codec.encoders.empty() || needs_gpu(codec)) continue;
      const auto path = folder_ / fmt::format("{}.{}", codec.name, extension);
      write_clip(path, {.fps = 8, .codec = std::string(codec.name), .crf = std::nullopt}, clip);
      const std::string bytes = read_text(path);
      for (const char* word : {"x264", "x265", "Lavc", "options:", "libvpx", "libaom", "preset"}) {
        EXPECT_EQ(bytes.find(word), std::string::npos) << path << " tells of " << word;
      }
    }
  }
}

TEST_F(Writer, SparesAFileThatIsNoSidecar) {
  for (const char* text : {"[\"my prompts\"]", "{\"bitreel\": \"0.1.0\"}", "", "not JSON"}) {
    write_text(folder_ / "clip.mp4.json", text);
    EXPECT_THAT(error_text([&] { write_clip(folder_ / "clip.mp4", {}, clip_, provenance_of("x")); }),
                HasSubstr("clip.mp4.json exists and is no sidecar of a clip"));
    EXPECT_EQ(read_text(folder_ / "clip.mp4.json"), text);
    EXPECT_THAT(folder_.names(), ElementsAre("clip.mp4.json"));
  }
  write_clip(folder_ / "clip.mp4", {}, clip_);  // without one it is in nobody's way
  EXPECT_EQ(read_text(folder_ / "clip.mp4.json"), "not JSON");
}

TEST_F(Writer, SidecarsOfTwoContainersAreTwo) {
  write_clip(folder_ / "star.webm", {}, clip_, provenance_of("first"));
  write_clip(folder_ / "star.mkv", {}, clip_, provenance_of("second"));
  EXPECT_THAT(read_text(folder_ / "star.webm.json"), HasSubstr("first"));
  EXPECT_THAT(read_text(folder_ / "star.mkv.json"), HasSubstr("second"));
}

TEST_F(Writer, TextThatIsNotUtf8DoesNotCostTheClip) {
  write_clip(folder_ / "clip.mp4", {}, clip_, provenance_of("caf\xe9"));
  EXPECT_EQ(nlohmann::json::parse(inspect_video(folder_ / "clip.mp4").comment)["config"]["prompt"], "caf\xEF\xBF\xBD");
}

TEST_F(Writer, WorksUnderStrangeNames) {
  for (const char* name : {"a:b.mp4", "50%.mp4", "%d.mkv", "Bär 红.webm", "-dash.gif", "file:x.mov"}) {
    write_clip(folder_ / name, {}, clip_);
    EXPECT_EQ(inspect_video(folder_ / name).frames, 4) << name;
  }
  fs::create_directory(folder_ / "100%d");
  write_clip(folder_ / "100%d/a_%03d.png", {}, clip_);
  EXPECT_EQ(inspect_video(folder_ / "100%d/a_%03d.png").frames, 4);
}

TEST_F(Writer, FollowsALink) {
  write_text(folder_ / "real.mp4", "old");
  fs::create_symlink("real.mp4", folder_ / "clip.mp4");
  write_clip(folder_ / "clip.mp4", {}, clip_);
  EXPECT_TRUE(fs::is_symlink(folder_ / "clip.mp4"));
  EXPECT_EQ(inspect_video(folder_ / "real.mp4").frames, 4);
}

TEST_F(Writer, SequenceNames) {
  write_clip(folder_ / "frames/", {}, clip_, provenance_of("x"));
  EXPECT_TRUE(fs::exists(folder_ / "frames/frame_0001.png"));
  EXPECT_TRUE(fs::exists(folder_ / "frames/frame_0004.png"));
  EXPECT_TRUE(fs::exists(folder_ / "frames/frame.json"));
  write_clip(folder_ / "n%d.png", {}, clip_);
  EXPECT_THAT(folder_.names(), ElementsAre("frames", "n1.png", "n2.png", "n3.png", "n4.png"));
  EXPECT_EQ(inspect_video(folder_ / "frames/").frames, 4);
}

TEST_F(Writer, RefusesAFrameOfAnotherSize) {
  VideoWriter writer(folder_ / "clip.mp4", {}, 64, 48);
  writer.push(clip_[0].frame());
  EXPECT_THAT(error_text([&] { writer.push(draw(48, 64, 0).frame()); }), HasSubstr("frame 1 is 48x64, expected 64x48"));
}

TEST_F(Writer, RefusesAClipWithoutFrames) {
  {
    VideoWriter writer(folder_ / "clip.mp4", {}, 64, 48);
    EXPECT_THROW(writer.finish(), Error);
  }
  EXPECT_THAT(folder_.names(), IsEmpty());
}

TEST_F(Writer, RefusesMoreAfterTheEnd) {
  VideoWriter writer(folder_ / "clip.mp4", {}, 64, 48);
  writer.push(clip_[0].frame());
  writer.finish();
  EXPECT_THROW(writer.push(clip_[1].frame()), Error);
  EXPECT_THROW(writer.finish(), Error);
  EXPECT_EQ(inspect_video(folder_ / "clip.mp4").frames, 1);
}

TEST_F(Writer, RefusesBadOutputsItself) {
  EXPECT_THROW(VideoWriter(folder_ / "nowhere/clip.mp4", {}, 64, 48), Error);
  EXPECT_THROW(VideoWriter(folder_ / "clip.mp5", {}, 64, 48), UsageError);
  EXPECT_THROW(VideoWriter(folder_ / "frames/", {}, 0, 48), Error);
  EXPECT_THAT(folder_.names(), IsEmpty());
}

TEST_F(Writer, ALowerCrfIsCloserAndLarger) {
  const std::vector<Image> clip = draw_clip(160, 96, 9);
  for (const char* name : {"h264", "h265", "vp9", "av1"}) {
    const auto size_and_psnr = [&](int crf) {
      const fs::path path = folder_ / "clip.mp4";
      write_clip(path, {.fps = 8, .codec = name, .crf = crf}, clip);
      return std::pair(fs::file_size(path), psnr(clip[4], read_all(path)[4]));
    };
    const auto [fine_size, fine_psnr] = size_and_psnr(5);
    const auto [coarse_size, coarse_psnr] = size_and_psnr(45);
    EXPECT_GT(fine_size, coarse_size) << name;
    EXPECT_GT(fine_psnr, coarse_psnr + 1) << name;
  }
}

// The index stands before the frames, so that a player can start with the first bytes.
TEST_F(Writer, Mp4StartsWithItsIndex) {
  write_clip(folder_ / "clip.mp4", {}, clip_);
  const std::string bytes = read_text(folder_ / "clip.mp4");
  ASSERT_NE(bytes.find("moov"), std::string::npos);
  EXPECT_LT(bytes.find("moov"), bytes.find("mdat"));
}

TEST_F(Writer, HevcHasTheTagThatApplePlays) {
  write_clip(folder_ / "clip.mp4", {.fps = 8, .codec = "h265", .crf = std::nullopt}, draw_clip(64, 64, 3));
  EXPECT_THAT(read_text(folder_ / "clip.mp4"), HasSubstr("hvc1"));
}

}  // namespace
}  // namespace bitreel::test
