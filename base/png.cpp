#include "base/png.h"

#include <fmt/format.h>
#include <png.h>

#include "base/error.h"

namespace bitreel {

std::string png_of(const std::uint8_t* pixels, const PngOptions& options) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(options.width);
  image.height = static_cast<png_uint_32>(options.height);
  image.format = options.order == ChannelOrder::rgb ? PNG_FORMAT_RGB : PNG_FORMAT_BGR;
  std::string bytes;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  bytes.resize(size);
  if (png_image_write_to_memory(&image, bytes.data(), &size, 0, pixels, 0, nullptr) == 0) {
    throw Error(fmt::format("{}x{} pixels can't be written as PNG: {}", options.width, options.height,
                            static_cast<const char*>(image.message)));
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace bitreel
