// What CLIP sees of a picture: resized, cropped to its middle, scaled and normalised, as CLIPImageProcessor does with
// Pillow.
//
//   const ClipImageProcessor processor = read_clip_image_processor(json);      // preprocessor_config.json
//   at::Tensor pixels = preprocessed(picture, processor);                      // [1, 3, 224, 224] fp32
//
// Source: transformers image_processing_clip.py (the Pillow backend; torchvision's resizes by other arithmetic).
// Errors: Error for a configuration whose crop is larger than what is resized, or than the picture where nothing is;
// keys' ranges.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "pipelines/image/picture.h"

namespace bitreel {

struct ClipImageProcessor {
  std::optional<std::int64_t> shortest_edge = 224;  // else resized to `size`, both sides
  PictureSize size = {224, 224};
  PictureSize crop_size = {224, 224};
  Resampling resampling = Resampling::bicubic;
  bool do_resize = true;
  bool do_center_crop = true;
  bool do_rescale = true;
  bool do_normalize = true;
  double rescale_factor = 1.0 / 255.0;
  std::array<double, 3> image_mean = {0.48145466, 0.4578275, 0.40821073};
  std::array<double, 3> image_std = {0.26862954, 0.26130258, 0.27577711};
};

ClipImageProcessor read_clip_image_processor(const nlohmann::json& config);

at::Tensor preprocessed(const Picture& picture, const ClipImageProcessor& processor);

// [1, 3, H, W] in fp32, 0..255.
at::Tensor to_tensor(const Picture& picture);
// 8-bit RGB from [3, H, W] in 0..1, clamped and rounded as the peer does.
Picture to_picture(const at::Tensor& pixels);

}  // namespace bitreel
