#include "base/png.h"

#include <gmock/gmock.h>

#include <vector>

#include "base/error.h"
#include "base/written_file.h"
#include "tests/temporary_folder.h"

namespace bitreel {
namespace {

using testing::StartsWith;

TEST(Png, IsTheSameForBothOrdersOfTheSamePixels) {
  const std::vector<std::uint8_t> rgb = {1, 2, 3, 4, 5, 6}, bgr = {3, 2, 1, 6, 5, 4};
  const std::string png = png_of(rgb.data(), {.width = 2, .height = 1});
  EXPECT_THAT(png, StartsWith("\x89PNG"));
  EXPECT_EQ(png, png_of(bgr.data(), {.width = 2, .height = 1, .order = ChannelOrder::bgr}));
  EXPECT_NE(png, png_of(bgr.data(), {.width = 2, .height = 1}));
}

TEST(Png, IsAFileOnceWritten) {
  const test::TemporaryFolder folder;
  const std::vector<std::uint8_t> rgb(std::size_t{128} * 96 * 3, 128);
  const std::string png = png_of(rgb.data(), {.width = 128, .height = 96});
  write_whole(folder / "frame.png", png);
  EXPECT_THAT(folder.names(), testing::ElementsAre("frame.png"));
}

TEST(Png, OfNoPixelsIsRefused) {
  EXPECT_THROW((void)png_of(nullptr, {}), Error);
}

}  // namespace
}  // namespace bitreel
