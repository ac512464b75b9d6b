// Pictures: 8-bit RGB in memory, read from and written to files, resized as Pillow does.
//
//   const Picture picture = read_picture("cat.jpg");
//   const Picture small = resized(picture, {.width = 224, .height = 224}, Resampling::bicubic);
//   write_picture("small.png", small);
//
// Reading honours EXIF orientation, takes the upper 8 of 16 bits, turns grey, palette and CMYK into RGB and drops
// alpha, as Pillow's convert("RGB") does. Animations are refused: which frame is meant, nobody said. Writing: PNG, JPEG
// (quality 95) or WebP (lossless) by the extension, beside and renamed when complete. Errors: UsageError for a file
// that is missing, empty, no picture, animated or too large, and for other extensions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace bitreel {

struct PictureSize {
  std::int64_t width = 0;
  std::int64_t height = 0;
};

struct Picture {
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::vector<std::uint8_t> rgb;  // rows from the top, three bytes a pixel
};

// What is read at most: a file of a few hundred bytes may say that it holds a gigapixel.
struct PictureLimits {
  std::int64_t side = 32768;
  std::int64_t pixels = std::int64_t{1} << 28;  // 268 million: 0.8 GB, and twice that while some kinds are decoded
};

Picture read_picture(const std::filesystem::path& path, const PictureLimits& most = {});
// UsageError unless the extension is one of those.
void check_can_be_written(const std::filesystem::path& path);
void write_picture(const std::filesystem::path& path, const Picture& picture);

enum class Resampling { bilinear, bicubic, lanczos };

// Antialiased, horizontally and then vertically with 8-bit rounding between, in Pillow's fixed-point arithmetic: the
// same bytes as its version 11.3's (13 sometimes takes columns first). Source: Pillow's Resample.c.
Picture resized(const Picture& picture, PictureSize size, Resampling resampling);

// A part of what that makes, without making the rest: a line of pixels, resized until its shorter side is 224, would be
// gigabytes.
struct PictureWindow {
  std::int64_t left = 0;
  std::int64_t top = 0;
  PictureSize size;
};
Picture resized(const Picture& picture, PictureSize size, Resampling resampling, const PictureWindow& part);

}  // namespace bitreel
