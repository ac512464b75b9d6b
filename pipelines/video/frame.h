// One picture on its way from the VAE to the encoder: 8-bit RGB, rows packed, borrowed for the length of a call.
#pragma once

#include <cstdint>

namespace bitreel {

struct Frame {
  const std::uint8_t* rgb = nullptr;  // height * width * 3 bytes, row after row, red first
  int width = 0;
  int height = 0;
};

}  // namespace bitreel
