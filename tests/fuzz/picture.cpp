// A picture as --image reads it, EXIF among it, and the sizes that the encoders take it in.
#include <ATen/ATen.h>

#include "pipelines/image/clip_image_processor.h"
#include "pipelines/image/picture.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bitreel;
  static const fuzz::Folder folder;
  const auto path = folder.write("picture", fuzz::text_of(data, size));
  return fuzz::refused_or_read([&] {
    // Small: what is allowed to be 0.8 GB is no finding.
    const PictureLimits most{.side = 4096, .pixels = std::int64_t{1} << 18};
    const Picture picture = read_picture(path, most);
    if (picture.rgb.size() != static_cast<std::size_t>(3 * picture.width * picture.height)) std::abort();
    (void)resized(picture, {.width = 8, .height = 8}, Resampling::lanczos);
    const ClipImageProcessor processor{.shortest_edge = 8, .crop_size = {8, 8}};
    if (preprocessed(picture, processor).numel() != std::int64_t{3} * 8 * 8) std::abort();
  });
}
