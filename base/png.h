// Pixels as a PNG file's bytes, by libpng.
//
//   const std::string png = png_of(rgb.data(), {.width = 128, .height = 96});
//   write_whole("frame.png", png);
//
// Three bytes a pixel, rows from the top without gaps. Errors: Error when libpng refuses the size.
#pragma once

#include <cstdint>
#include <string>

namespace bitreel {

enum class ChannelOrder { rgb, bgr };

struct PngOptions {
  int width = 0;
  int height = 0;
  ChannelOrder order = ChannelOrder::rgb;
};

std::string png_of(const std::uint8_t* pixels, const PngOptions& options);

}  // namespace bitreel
