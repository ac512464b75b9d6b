// A picture file's bytes as RGB: JPEG by libjpeg-turbo and WebP by libwebp, as Pillow reads them, PNG, BMP and TIFF by
// libav. picture.h is the way in. Empty when the bytes begin like none of these.
// The upper 8 of 16 bits; alpha is dropped; EXIF orientation is applied. Errors: Error with the decoder's reason.
#pragma once

#include <optional>
#include <string_view>

#include "pipelines/image/picture.h"

namespace bitreel {

std::optional<Picture> decode_picture(std::string_view bytes, const PictureLimits& most);

}  // namespace bitreel
