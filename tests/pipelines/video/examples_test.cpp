// The examples of this room's headers (tests/app/manuals_test.cpp compares).
#include <gmock/gmock.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pipelines/video/codecs.h"
#include "pipelines/video/colour.h"
#include "pipelines/video/encoder.h"
#include "pipelines/video/encoder_thread.h"
#include "pipelines/video/libav.h"
#include "pipelines/video/libav_file.h"
#include "pipelines/video/output.h"
#include "pipelines/video/palette.h"
#include "pipelines/video/reader.h"
#include "pipelines/video/sequence.h"
#include "pipelines/video/sink.h"
#include "pipelines/video/writer.h"
#include "tests/examples_folder.h"
#include "tests/pipelines/video/clips.h"

namespace bitreel::test {
namespace {

namespace fs = std::filesystem;

class Examples : public ExamplesFolder {
 protected:
  const std::vector<Image> images_ = draw_clip(128, 128, 3);
  std::vector<Frame> frames() const {
    std::vector<Frame> all;
    for (const Image& image : images_) all.push_back(image.frame());
    return all;
  }
};

TEST_F(Examples, OfTheWriter) {
  const VideoOptions options;
  const std::vector<Frame> frames = this->frames();
  const nlohmann::ordered_json provenance = {{"prompt", "a red circle"}};
  check_output("out/clip.mp4", options, Sidecar::written);
  check_space("out/clip.mp4", expected_bytes("out/clip.mp4", options, 720, 480, 49));
  check_output("out/clip.mp4", options, Sidecar::written);
  VideoWriter video("out/clip.mp4", {.fps = 8}, 128, 128, provenance);
  for (const Frame& frame : frames) video.push(frame);
  video.finish({{"seconds", 41.5}, {"events", video.events()}});
  EXPECT_TRUE(fs::exists("out/clip.mp4.json"));
}

TEST_F(Examples, OfTheEncoderThread) {
  VideoWriter video("out/clip.mkv", {.fps = 8}, 128, 128);
  const std::vector<Frame> frames = this->frames();
  const Frame& frame = frames.front();
  EncoderThread encoder([&](const Frame& frame) { video.push(frame); });
  encoder.push(frame);
  encoder.finish();
  video.finish();
  EXPECT_TRUE(fs::exists("out/clip.mkv"));
}

TEST_F(Examples, OfTheReader) {
  write_clip("clip.mp4", {}, images_);
  int judged = 0;
  const auto judge = [&](const Frame&) { ++judged; };
  VideoReader video("clip.mp4");
  while (const std::optional<Frame> frame = video.next()) judge(*frame);
  const VideoInfo info = inspect_video("clip.mp4");
  EXPECT_EQ(info.frames, judged);
}

TEST_F(Examples, OfCodecs) {
  const Codec& home = choose_codec("clip.webm", "");
  const Codec& asked = choose_codec("clip.mkv", "h264");
  EXPECT_EQ(home.name, "vp9");
  EXPECT_EQ(asked.name, "h264");
  const Codec& codec = asked;
  const VideoOptions options;
  std::vector<std::string> events;
  const CodecContextPtr encoder = open_encoder(codec, options, 33, 17, GlobalHeader::yes, events);
  encoder->width;
  EXPECT_EQ(encoder->width, 34);
  EXPECT_FALSE(events.empty());
}

TEST_F(Examples, OfPictures) {
  const Image drawn = draw(33, 18, 0);
  {
    const Frame frame = drawn.frame();
    PictureMaker make(AV_PIX_FMT_YUV420P, 33, 18, 34, 18);
    FramePtr picture = make(frame);
    RgbMaker rgb;
    const Frame back = rgb(*picture);
    EXPECT_EQ(back.width, 34);
  }
  const CodecContextPtr codec(avcodec_alloc_context3(avcodec_find_encoder(AV_CODEC_ID_PNG)));
  codec->width = 128;
  codec->height = 96;
  codec->pix_fmt = AV_PIX_FMT_RGB24;
  codec->time_base = {1, 8};
  check_libav(avcodec_open2(codec.get(), nullptr, nullptr), "png");
  FramePtr frame = make_frame(AV_PIX_FMT_RGB24, 128, 96);
  check_libav(avcodec_send_frame(codec.get(), frame.get()), "clip.mp4: libx264 refuses a frame");
}

TEST_F(Examples, OfAPalette) {
  int encoded = 0;
  const auto encode = [&](const AVFrame&) { ++encoded; };
  FramePtr rgb = PictureMaker(AV_PIX_FMT_RGB24, 128, 96, 128, 96)(draw(128, 96, 0).frame());
  rgb->pts = 0;
  Palette palette(128, 96, {1, 8});
  palette.push(std::move(rgb));
  palette.end();
  while (FramePtr picture = palette.pull()) encode(*picture);
  EXPECT_EQ(encoded, 1);
}

TEST_F(Examples, OfFiles) {
  const fs::path path = "clip.mp4";
  const Codec& codec = choose_codec(path, "");
  const VideoOptions options;
  const std::string comment = "{}";
  std::vector<std::string> events;
  auto file = write_libav_file(path, codec, options, 128, 128, comment, events);
  for (const Frame& frame : frames()) file->push(frame);
  file->complete();
  file->publish();
  EXPECT_TRUE(fs::exists(path));

  const SequenceName name = parse_sequence("out/red_%04d.png");
  name.file(1);
  name.sidecar();
  EXPECT_EQ(name.file(1), "out/red_0001.png");
  EXPECT_EQ(name.sidecar(), "out/red.json");
}

}  // namespace
}  // namespace bitreel::test
