// RGB to YUV by the formulas of ITU-R BT.709-6: 8 bits, limited range.
#include "pipelines/video/colour.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "tests/pipelines/video/clips.h"

namespace bitreel::test {
namespace {

Image solid(const std::array<std::uint8_t, 3>& rgb, int width, int height) {
  Image image{.width = width, .height = height, .rgb = {}};
  for (int i = 0; i < width * height; ++i) image.rgb.insert(image.rgb.end(), rgb.begin(), rgb.end());
  return image;
}

// Y, Cb, Cr.
std::array<double, 3> bt709(const std::array<std::uint8_t, 3>& rgb) {
  const double r = rgb[0] / 255.0;
  const double g = rgb[1] / 255.0;
  const double b = rgb[2] / 255.0;
  const double y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return {16 + 219 * y, 128 + 224 * (b - y) / 1.8556, 128 + 224 * (r - y) / 1.5748};
}

class Bt709 : public ::testing::TestWithParam<std::array<std::uint8_t, 3>> {};

TEST_P(Bt709, IsWhatThePlanesHold) {
  PictureMaker make(AV_PIX_FMT_YUV420P, 32, 16, 32, 16);
  const Image image = solid(GetParam(), 32, 16);
  const FramePtr picture = make(image.frame());
  const std::array<double, 3> expected = bt709(GetParam());
  for (std::size_t plane = 0; plane < 3; ++plane) {
    EXPECT_NEAR(picture->data[plane][5 * picture->linesize[plane] + 7], expected[plane], 0.75) << "plane " << plane;
  }
  EXPECT_EQ(picture->colorspace, AVCOL_SPC_BT709);
  EXPECT_EQ(picture->color_range, AVCOL_RANGE_MPEG);
}

TEST_P(Bt709, ComesBackAsTheSameRgb) {
  for (const AVPixelFormat format : {AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUV422P10LE, AV_PIX_FMT_BGR0}) {
    PictureMaker make(format, 32, 16, 32, 16);
    RgbMaker rgb;
    const Image image = solid(GetParam(), 32, 16);
    const Frame frame = rgb(*make(image.frame()));
    for (std::size_t i = 0; i < image.rgb.size(); ++i) ASSERT_NEAR(frame.rgb[i], image.rgb[i], 3) << "byte " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Solids, Bt709,
    ::testing::Values(std::array<std::uint8_t, 3>{255, 255, 255}, std::array<std::uint8_t, 3>{0, 0, 0},
                      std::array<std::uint8_t, 3>{255, 0, 0}, std::array<std::uint8_t, 3>{0, 255, 0},
                      std::array<std::uint8_t, 3>{0, 0, 255}, std::array<std::uint8_t, 3>{128, 128, 128},
                      std::array<std::uint8_t, 3>{200, 60, 30}, std::array<std::uint8_t, 3>{20, 90, 220}));

// Red up to column 14, green from column 15 on. Chroma sited left has a sample on column 14, mostly red; centred
// siting would put it between 14 and 15, half of each.
TEST(Chroma, SitsOnTheLeftColumn) {
  Image image = solid({255, 0, 0}, 32, 16);
  for (int y = 0; y < 16; ++y) {
    for (int x = 15; x < 32; ++x) {
      const std::size_t at = (std::size_t(y) * 32 + std::size_t(x)) * 3;
      image.rgb[at] = 0;
      image.rgb[at + 1] = 255;
    }
  }
  PictureMaker make(AV_PIX_FMT_YUV420P, 32, 16, 32, 16);
  const FramePtr picture = make(image.frame());
  const std::uint8_t* row = picture->data[2] + std::ptrdiff_t(4) * picture->linesize[2];
  const double red = bt709({255, 0, 0})[2];
  const double green = bt709({0, 255, 0})[2];
  const double share_of_red = (row[7] - green) / (red - green);  // the sample on column 14, the last red one
  EXPECT_GT(share_of_red, 0.6) << "centred on columns 14 and 15, red and green would be even";
}

TEST(Padding, RepeatsTheLastColumnAndRow) {
  const Image image = draw(33, 17, 3);
  PictureMaker make(AV_PIX_FMT_RGB24, 33, 17, 34, 18);
  const FramePtr picture = make(image.frame());
  ASSERT_EQ(picture->width, 34);
  ASSERT_EQ(picture->height, 18);
  const auto byte = [&](int x, int y, int c) { return picture->data[0][y * picture->linesize[0] + x * 3 + c]; };
  for (int y = 0; y < 18; ++y) {
    for (int x = 0; x < 34; ++x) {
      const std::size_t source = (std::size_t(std::min(y, 16)) * 33 + std::size_t(std::min(x, 32))) * 3;
      for (int c = 0; c < 3; ++c) ASSERT_EQ(byte(x, y, c), image.rgb[source + std::size_t(c)]) << x << ", " << y;
    }
  }
}

}  // namespace
}  // namespace bitreel::test
