// Every codec in every container that holds it: written, read back with libav, compared with what was drawn.
#include <gmock/gmock.h>

#include <limits>
#include <map>

#include "base/error.h"
#include "pipelines/video/codecs.h"
#include "pipelines/video/output.h"
#include "pipelines/video/reader.h"
#include "tests/files.h"
#include "tests/pipelines/video/clips.h"

namespace bitreel::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr double equal = std::numeric_limits<double>::infinity();

// What libav calls the codec, and the least dB of any frame of the drawn clip at the standard settings. Measured on
// Debian 12 less 1 dB; with bt601's matrix every YUV codec falls below 28 dB.
struct Expected {
  std::string codec;
  double psnr;
};
const std::map<std::string_view, Expected> expectations = {
    {"h264", {"h264", 42}},    {"h265", {"hevc", 41.5}},     {"vp9", {"vp9", 41}}, {"av1", {"av1", 40.5}},
    {"ffv1", {"ffv1", equal}}, {"prores", {"prores", 43.5}}, {"gif", {"gif", 35}}, {"png", {"png", equal}},
};

// gif counts in 1/100 s, png keeps no rate.
bool keeps_rate(const Codec& codec) {
  return codec.name != "gif" && codec.name != "png";
}

struct Case {
  const Codec* codec;
  std::string extension;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const Codec& codec : codecs()) {
    if (needs_gpu(codec)) continue;  // output_test.cpp
    for (const std::string_view extension : codec.extensions) all.push_back({&codec, std::string(extension)});
  }
  return all;
}

std::string name_of(const ::testing::TestParamInfo<Case>& test) {
  return std::string(test.param.codec->name) + "_in_" + test.param.extension;
}

class RoundTrip : public ::testing::TestWithParam<Case> {
 protected:
  [[nodiscard]] const Codec& codec() const { return *GetParam().codec; }
  [[nodiscard]] const Expected& expected() const { return expectations.at(codec().name); }
  [[nodiscard]] bool is_png() const { return codec().name == "png"; }
  [[nodiscard]] bool is_yuv() const { return codec().pixel_format.substr(0, 3) == "yuv"; }
  [[nodiscard]] bool keeps_rate() const { return test::keeps_rate(codec()); }
  [[nodiscard]] std::filesystem::path path(const std::string& stem = "clip") const {
    return folder_ / (is_png() ? stem + "_%04d.png" : stem + "." + GetParam().extension);
  }
  [[nodiscard]] VideoOptions options(double fps = 8) const {
    return {.fps = fps, .codec = std::string(codec().name), .crf = std::nullopt};
  }

  // Named, where the distribution's libav lacks one: Debian's and Ubuntu's have all.
  void SetUp() override {
    if (!codec().encoders.empty() && available_encoders(codec()).empty()) GTEST_SKIP() << "no encoder for this codec";
  }

  TemporaryFolder folder_;
};

TEST_P(RoundTrip, KeepsFramesTimesAndTags) {
  const std::vector<Image> clip = draw_clip(160, 96, 25);
  ::testing::internal::CaptureStderr();
  write_clip(path(), options(), clip);
  const VideoInfo info = inspect_video(path());
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), IsEmpty()) << "libraries spill their logs";

  EXPECT_EQ(info.frames, 25);
  EXPECT_EQ(info.width, 160);
  EXPECT_EQ(info.height, 96);
  EXPECT_EQ(info.codec, expected().codec);
  EXPECT_EQ(info.comment, "");
  if (keeps_rate()) {
    EXPECT_DOUBLE_EQ(info.fps, 8);
    EXPECT_NEAR(info.duration, 25.0 / 8, 0.002);
  }
  if (is_yuv()) {
    EXPECT_EQ(info.pixel_format, codec().pixel_format);
    EXPECT_EQ(info.colour_primaries, "bt709");
    EXPECT_EQ(info.colour_transfer, "bt709");
    EXPECT_EQ(info.colour_space, "bt709");
    EXPECT_EQ(info.colour_range, "tv");
  }
  EXPECT_THAT(folder_.names(), ::testing::Not(::testing::Contains(HasSubstr("partial"))));
}

TEST_P(RoundTrip, DecodedFramesAreTheDrawnOnes) {
  const std::vector<Image> clip = draw_clip(160, 96, 25);
  write_clip(path(), options(), clip);
  const std::vector<Image> read = read_all(path());
  ASSERT_EQ(read.size(), clip.size());
  for (std::size_t i = 0; i < clip.size(); ++i) EXPECT_GE(psnr(clip[i], read[i]), expected().psnr) << "frame " << i;
}

// Shorter than encoders' delays, down to a still.
TEST_P(RoundTrip, FewFramesAreAClip) {
  for (int frames = 1; frames <= 6; ++frames) {
    const std::string stem = "clip" + std::to_string(frames);
    write_clip(path(stem), options(), draw_clip(64, 64, frames));
    const VideoInfo info = inspect_video(path(stem));
    EXPECT_EQ(info.frames, frames);
    if (keeps_rate()) {
      EXPECT_NEAR(info.duration, frames / 8.0, 0.002);
    }
  }
}

TEST_P(RoundTrip, OddSizesKeepEveryPixel) {
  const std::vector<Image> clip = draw_clip(101, 75, 5);
  VideoWriter writer(path(), options(), 101, 75);
  for (const Image& image : clip) writer.push(image.frame());
  writer.finish();
  const std::vector<Image> read = read_all(path());
  ASSERT_EQ(read.size(), clip.size());
  const bool padded = read[0].width != 101 || read[0].height != 75;
  EXPECT_THAT(read[0].width, ::testing::AnyOf(101, 102));
  EXPECT_THAT(read[0].height, ::testing::AnyOf(75, 76));
  const auto says_padded = ::testing::Contains(HasSubstr("101x75 is written as 102x"));
  if (padded) {
    EXPECT_THAT(writer.events(), says_padded);
  } else {
    EXPECT_THAT(writer.events(), ::testing::Not(says_padded));
  }
  for (std::size_t i = 0; i < clip.size(); ++i) EXPECT_GE(psnr(clip[i], read[i]), expected().psnr - 2) << "frame " << i;
}

class FrameRate : public RoundTrip {};

TEST_P(FrameRate, MayBeAnyFraction) {
  for (const double fps : {24000.0 / 1001, 12.5, 1.0, 60.0}) {
    write_clip(path(), options(fps), draw_clip(64, 64, 7));
    EXPECT_NEAR(inspect_video(path()).fps, fps, fps * 1e-4);
  }
}

TEST_P(RoundTrip, ProvenanceIsInTheFileAndBesideIt) {
  // Longer than QuickTime's classic tags hold, and not ASCII.
  std::string prompt = "ein Bär \"läuft\"\n über 红色的圆 🐻 ";
  while (prompt.size() < 100'000) prompt += prompt;
  nlohmann::json provenance = provenance_of(prompt);
  provenance["config"]["seed"] = 18446744073709551615U;
  const std::vector<Image> clip = draw_clip(64, 64, 3);
  VideoWriter writer(path(), options(), 64, 64, provenance);
  for (const Image& image : clip) writer.push(image.frame());
  writer.finish({{"seconds", 1.5}});

  nlohmann::json with_outcome = provenance;
  with_outcome["seconds"] = 1.5;
  EXPECT_EQ(nlohmann::json::parse(read_text(sidecar_path(path()))), with_outcome);
  const bool sidecar_only = is_png() || codec().name == "gif";
  EXPECT_EQ(nlohmann::json::parse(inspect_video(path()).comment), sidecar_only ? with_outcome : provenance);
  const auto says_so = ::testing::Contains(HasSubstr("in the sidecar alone"));
  if (sidecar_only) {
    EXPECT_THAT(writer.events(), says_so);
  } else {
    EXPECT_THAT(writer.events(), ::testing::Not(says_so));
  }
}

TEST_P(RoundTrip, SameClipIsSameBytes) {
  const std::vector<Image> clip = draw_clip(64, 64, 9);
  const nlohmann::json provenance = provenance_of("twice");
  write_clip(path("a"), options(), clip, provenance);
  write_clip(path("b"), options(), clip, provenance);
  const auto file = [&](const std::string& stem) { return is_png() ? folder_ / (stem + "_0009.png") : path(stem); };
  ASSERT_FALSE(read_text(file("a")).empty());
  EXPECT_EQ(read_text(file("a")), read_text(file("b")));
}

TEST_P(RoundTrip, CutShortIsAnError) {
  write_clip(path(), options(), draw_clip(160, 96, 25));
  const auto file = is_png() ? folder_ / "clip_0013.png" : path();
  std::filesystem::resize_file(file, std::filesystem::file_size(file) * 6 / 10);
  EXPECT_THROW(inspect_video(path()), Error);
}

std::vector<Case> cases_with_rate() {
  std::vector<Case> kept;
  for (const Case& one : cases()) {
    if (keeps_rate(*one.codec)) kept.push_back(one);
  }
  return kept;
}

INSTANTIATE_TEST_SUITE_P(All, RoundTrip, ::testing::ValuesIn(cases()), name_of);
INSTANTIATE_TEST_SUITE_P(All, FrameRate, ::testing::ValuesIn(cases_with_rate()), name_of);

}  // namespace
}  // namespace bitreel::test
