// Bad outputs are found before any work, and looking for them leaves nothing behind.
#include "pipelines/video/output.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cmath>
#include <functional>

#include "base/error.h"
#include "pipelines/video/codecs.h"
#include "pipelines/video/encoder.h"
#include "tests/error_text.h"
#include "tests/files.h"
#include "tests/pipelines/video/clips.h"

namespace bitreel::test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

struct Refused {
  std::string message;
  std::string hint;
  bool usage = false;
};

Refused refused(const fs::path& path, const VideoOptions& options = {}) {
  try {
    check_output(path, options, Sidecar::written);
  } catch (const UsageError& error) {
    return {error.what(), error.hint(), true};
  } catch (const Error& error) {
    return {error.what(), error.hint(), false};
  }
  return {"accepted", "", false};
}

VideoOptions with_codec(const std::string& codec) {
  return {.fps = 8, .codec = codec, .crf = std::nullopt};
}

TEST(Output, FolderThatDoesNotExist) {
  const TemporaryFolder folder;
  const Refused error = refused(folder / "nowhere/clip.mp4");
  EXPECT_THAT(error.message, HasSubstr("nowhere does not exist"));
  EXPECT_THAT(error.hint, HasSubstr("mkdir -p "));
  EXPECT_FALSE(error.usage);
  EXPECT_THAT(folder.names(), IsEmpty());
  EXPECT_THAT(refused(folder / "nowhere/a_%04d.png").message, HasSubstr("nowhere does not exist"));
  EXPECT_THAT(refused(folder / "nowhere/frames/").message, HasSubstr("nowhere does not exist"));
}

TEST(Output, FolderThatIsAFile) {
  const TemporaryFolder folder;
  write_text(folder / "file", "x");
  EXPECT_THAT(refused(folder / "file/clip.mp4").message, HasSubstr("clip.mp4"));
  EXPECT_THAT(refused(folder / "file/").message, HasSubstr("is not a folder"));
  EXPECT_EQ(read_text(folder / "file"), "x");
}

TEST(Output, FolderThatCannotBeWrittenInto) {
  EXPECT_THAT(refused("/proc/clip.mp4").message, HasSubstr("cannot write into /proc"));
  EXPECT_THAT(refused("/proc/clip_%d.png").message, HasSubstr("cannot write into /proc"));
}

TEST(Output, OutputThatIsAFolder) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "clip.mp4");
  const Refused error = refused(folder / "clip.mp4");
  EXPECT_THAT(error.message, HasSubstr("is a folder, expected a file's name"));
  EXPECT_THAT(error.hint, HasSubstr("clip.mp4/clip.mp4"));
  EXPECT_THAT(refused(folder.path()).message, HasSubstr("is a folder"));
}

TEST(Output, OutputThatIsADevice) {
  EXPECT_THAT(refused("/dev/null", with_codec("h264")).message, HasSubstr("is not a file that can be replaced"));
}

TEST(Output, SidecarThatIsAFolder) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "clip.mp4.json");
  EXPECT_THAT(refused(folder / "clip.mp4").message, HasSubstr("clip.mp4.json: is a folder"));
}

TEST(Output, FramesOfAnotherClip) {
  const TemporaryFolder folder;
  write_text(folder / "frame_0001.png", "x");
  EXPECT_THAT(refused(folder / "").message, HasSubstr("frame_0001.png exists"));
  EXPECT_THAT(refused(folder / "frame_%04d.png").message, HasSubstr("frame_0001.png exists"));
  EXPECT_EQ(refused(folder / "other_%04d.png").message, "accepted");
}

TEST(Output, UnknownExtension) {
  const Refused error = refused("clip.mp5");
  EXPECT_TRUE(error.usage);
  EXPECT_THAT(error.message, HasSubstr("unknown extension .mp5"));
  EXPECT_THAT(error.hint, HasSubstr("did you mean mp4?"));
  EXPECT_THAT(refused("clip.txt").hint, HasSubstr("known: mp4, mov, mkv, webm, gif, png"));
  EXPECT_THAT(refused("clip").message, HasSubstr("has no extension"));
  EXPECT_THAT(refused("").message, HasSubstr("is empty"));
}

TEST(Output, UnknownCodec) {
  const Refused error = refused("clip.mp4", with_codec("x264"));
  EXPECT_TRUE(error.usage);
  EXPECT_THAT(error.message, HasSubstr("`codec` x264: unknown codec"));
  EXPECT_THAT(error.hint, HasSubstr("did you mean h264?"));
}

TEST(Output, CodecThatDoesNotFit) {
  const Refused error = refused("clip.webm", with_codec("h264"));
  EXPECT_TRUE(error.usage);
  EXPECT_THAT(error.message, HasSubstr("`codec` h264: does not go into `output` clip.webm"));
  EXPECT_EQ(error.hint, "h264 goes into .mp4, .mov, .mkv; .webm holds vp9, av1");
}

TEST(Output, PngWithoutAPlaceForTheNumber) {
  for (const char* name : {"a.png", "a_%s.png", "a_%d_%d.png", "a_%12d.png"}) {
    EXPECT_THAT(refused(name).message, HasSubstr("the place of the frame's number")) << name;
  }
}

TEST(Output, SettingsOutOfRange) {
  for (const double fps : {0.0, -8.0, 1001.0, std::nan(""), HUGE_VAL}) {
    EXPECT_TRUE(refused("clip.mp4", {.fps = fps, .codec = "", .crf = std::nullopt}).usage) << fps;
  }
  EXPECT_THAT(refused("clip.gif", {.fps = 60, .codec = "", .crf = std::nullopt}).message, HasSubstr("50 fps at most"));
  for (const int crf : {-1, 52}) {
    EXPECT_THAT(refused("clip.mp4", {.fps = 8, .codec = "", .crf = crf}).message, HasSubstr("h264 takes 0 to 51"));
  }
  EXPECT_EQ(refused("clip.webm", {.fps = 8, .codec = "", .crf = 52}).message, "accepted");
  EXPECT_THAT(refused("clip.mkv", {.fps = 8, .codec = "", .crf = 20}).message, HasSubstr("ffv1 has no such setting"));
}

TEST(Output, SizeThatNoEncoderTakes) {
  const TemporaryFolder folder;
  EXPECT_THROW(check_output(folder / "clip.mp4", {}, Sidecar::written, 8, 8), Error);
  EXPECT_THAT(check_output(folder / "clip.mp4", {}, Sidecar::written, 128, 128), IsEmpty());
  EXPECT_THAT(check_output(folder / "clip.mp4", {}, Sidecar::written, 129, 128),
              ElementsAre(HasSubstr("129x128 is written as 130x128")));
  EXPECT_THAT(folder.names(), IsEmpty());
}

TEST(Output, NameTooLongForWhatIsKeptBesideIt) {
  const TemporaryFolder folder;
  for (const std::size_t length : {233U, 240U, 251U}) {
    EXPECT_THAT(refused(folder / (std::string(length, 'n') + ".mp4")).message, HasSubstr("the name is too long"));
  }
  EXPECT_EQ(refused(folder / (std::string(225, 'n') + ".mp4")).message, "accepted");
  EXPECT_THAT(folder.names(), IsEmpty());
}

TEST(Output, DiskTooFullForTheClip) {
  const TemporaryFolder folder;
  check_space(folder / "clip.mp4", 1);
  EXPECT_THAT(error_text([&] { check_space(folder / "clip.mp4", std::uintmax_t{1} << 60); }),
              AllOf(HasSubstr("MiB free, this clip may take"), HasSubstr("choose a folder on another disk")));
  EXPECT_LT(expected_bytes("clip.mp4", {}, 720, 480, 49), expected_bytes("clip.mkv", {}, 720, 480, 49));
  EXPECT_LT(expected_bytes("clip.mkv", {}, 720, 480, 49), 720U * 480 * 49 * 3);
}

// SVT-AV1 waited for ever when it was closed without a frame.
TEST(Output, EveryPairOfCodecAndContainerIsCheckedAndClosed) {
  const TemporaryFolder folder;
  for (const Codec& codec : codecs()) {
    if (needs_gpu(codec)) continue;
    for (const std::string_view extension : codec.extensions) {
      const auto path = codec.name == "png" ? folder / "frames/" : folder / fmt::format("clip.{}", extension);
      EXPECT_THAT(check_output(path, with_codec(std::string(codec.name)), Sidecar::written, 64, 64), IsEmpty()) << path;
    }
  }
  EXPECT_THAT(folder.names(), IsEmpty());
}

TEST(Output, WhatIsAcceptedLeavesNothing) {
  const TemporaryFolder folder;
  for (const char* name : {"clip.mp4", "CLIP.MP4", "clip.webm", "clip.mkv", "clip.mov", "clip.gif", "a:b.mp4",
                           "50%.mp4", "Bär.mp4", "a_%04d.png", "%d.png", "frames/"}) {
    EXPECT_EQ(refused(folder / name).message, "accepted") << name;
  }
  EXPECT_THAT(folder.names(), IsEmpty());
}

TEST(Output, SidecarNames) {
  EXPECT_EQ(sidecar_path("out/clip.mp4"), "out/clip.mp4.json");
  EXPECT_EQ(sidecar_path("clip.v2.webm"), "clip.v2.webm.json");
  EXPECT_EQ(sidecar_path("out/frames/"), "out/frames/frame.json");
  EXPECT_EQ(sidecar_path("out/red_%04d.png"), "out/red.json");
  EXPECT_EQ(sidecar_path("%d.png"), "./frames.json");
}

TEST(Codecs, HomeExtensionsChoose) {
  const std::vector<std::pair<std::string, std::string>> homes = {
      {"a.mp4", "h264"}, {"a.webm", "vp9"}, {"a.mkv", "ffv1"}, {"a.mov", "prores"}, {"a.gif", "gif"}, {"a/", "png"}};
  for (const auto& [path, codec] : homes) EXPECT_EQ(choose_codec(path, "").name, codec) << path;
}

TEST(Codecs, EveryOneIsInTheHelp) {
  for (const Codec& codec : codecs()) EXPECT_THAT(describe_codecs(), HasSubstr(std::string(codec.name) + " "));
}

// Most machines have no such GPU, and say so before any work; where there is one it has to take a picture.
TEST(Codecs, AGpusEncoderIsThereOrSaysWhyNot) {
  const TemporaryFolder folder;
  const Codec& codec = choose_codec("clip.mp4", "h264_nvenc");
  ASSERT_TRUE(needs_gpu(codec));
  const auto check = [&] {
    (void)check_output(folder / "clip.mp4", with_codec("h264_nvenc"), Sidecar::none, 720, 480);
  };
  if (available_encoders(codec).empty()) {
    EXPECT_THAT(error_text(check), AllOf(StartsWith("`codec` h264_nvenc: "), HasSubstr("h264_nvenc: "),
                                         HasSubstr("it has what is needed for h264, ")));
  } else {
    check();
  }
}

TEST(Codecs, AMissingEncoderIsNamed) {
  const Codec imaginary = {.name = "imaginary",
                           .extensions = {"mp4"},
                           .encoders = {{"libnowhere", Sizes::any, 16, ""}},
                           .pixel_format = "yuv420p",
                           .crf = std::nullopt,
                           .fidelity = Fidelity::lossy,
                           .summary = ""};
  EXPECT_THAT(available_encoders(imaginary), IsEmpty());
  EXPECT_THAT(error_text([&] { check_encoder(imaginary); }),
              AllOf(StartsWith("`codec` imaginary: this machine's libav lacks libnowhere\n"),
                    HasSubstr("it has what is needed for ")));
}

TEST(Codecs, ASecondChoiceIsSaid) {
  Codec codec = choose_codec("clip.mkv", "ffv1");
  codec.encoders.insert(codec.encoders.begin(), {"libnowhere", Sizes::any, 16, ""});
  std::vector<std::string> events;
  open_encoder(codec, {}, 64, 64, GlobalHeader::yes, events);
  EXPECT_THAT(events, ElementsAre(HasSubstr("ffv1 is encoded by ffv1 instead of libnowhere")));
}

TEST(Codecs, ASettingThatTheEncoderIgnoresIsRefused) {
  Codec codec = choose_codec("clip.mkv", "ffv1");
  codec.encoders[0].options = "levle=3";
  std::vector<std::string> events;
  EXPECT_THROW(open_encoder(codec, {}, 64, 64, GlobalHeader::yes, events), Error);
}

}  // namespace
}  // namespace bitreel::test
