#include "pipelines/image/clip_image_processor.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_fields.h"

namespace bitreel {
namespace {

using nlohmann::json;

const std::string processor_file = "clip_image_processor/preprocessor_config.json";
constexpr IntegerRange side{1, 16384};

// An int or a map of height and width.
PictureSize read_size(const json& config, const std::string& key, PictureSize fallback) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return fallback;
  if (found->is_object()) {
    const JsonFields fields(*found, fmt::format("{}: {}", processor_file, key));
    return {.width = fields.integer("width", fallback.width, side),
            .height = fields.integer("height", fallback.height, side)};
  }
  const std::int64_t both = JsonFields(config, processor_file).integer(key, fallback.width, side);
  return {.width = both, .height = both};
}

std::array<double, 3> read_three(const json& config, const std::string& key, const std::array<double, 3>& fallback) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return fallback;
  const bool three = found->is_array() && found->size() == 3 && (*found)[0].is_number() && (*found)[1].is_number() &&
                     (*found)[2].is_number();
  if (!three) throw Error(fmt::format("{}: {} is {}, expected three numbers", processor_file, key, found->dump()));
  return found->get<std::array<double, 3>>();
}

Resampling read_resampling(const JsonFields& fields) {
  switch (fields.integer("resample", 3, {1, 3})) {  // Pillow's numbers
    case 1:
      return Resampling::lanczos;
    case 2:
      return Resampling::bilinear;
    default:
      return Resampling::bicubic;
  }
}

PictureSize target_size(const Picture& picture, const ClipImageProcessor& processor) {
  if (!processor.shortest_edge) return processor.size;
  const std::int64_t edge = *processor.shortest_edge;
  const auto longer = [&](std::int64_t length, std::int64_t shorter) {
    return static_cast<std::int64_t>(static_cast<double>(edge * length) / static_cast<double>(shorter));
  };
  if (picture.width <= picture.height) return {.width = edge, .height = longer(picture.height, picture.width)};
  return {.width = longer(picture.width, picture.height), .height = edge};
}

at::Tensor column(const std::array<double, 3>& values) {
  return at::tensor(at::ArrayRef<double>(values), at::TensorOptions(at::kFloat)).view({1, 3, 1, 1});
}

}  // namespace

ClipImageProcessor read_clip_image_processor(const json& config) {
  const JsonFields fields(config, processor_file);
  ClipImageProcessor processor;
  const auto size = config.find("size");
  if (size != config.end() && size->is_object() && !size->contains("shortest_edge")) {
    processor.shortest_edge.reset();
    processor.size = read_size(config, "size", processor.size);
  } else if (size != config.end() && size->is_object()) {
    processor.shortest_edge = JsonFields(*size, processor_file + ": size").integer("shortest_edge", 224, side);
  } else {
    processor.shortest_edge = fields.integer("size", 224, side);
  }
  processor.crop_size = read_size(config, "crop_size", processor.crop_size);
  processor.resampling = read_resampling(fields);
  processor.do_resize = fields.boolean("do_resize", processor.do_resize);
  processor.do_center_crop = fields.boolean("do_center_crop", processor.do_center_crop);
  processor.do_rescale = fields.boolean("do_rescale", processor.do_rescale);
  processor.do_normalize = fields.boolean("do_normalize", processor.do_normalize);
  processor.rescale_factor = fields.real("rescale_factor", processor.rescale_factor, {0, 1e6});
  processor.image_mean = read_three(config, "image_mean", processor.image_mean);
  processor.image_std = read_three(config, "image_std", processor.image_std);
  const std::int64_t height = processor.shortest_edge.value_or(processor.size.height);
  const std::int64_t width = processor.shortest_edge.value_or(processor.size.width);
  if (processor.do_center_crop && (processor.crop_size.height > height || processor.crop_size.width > width)) {
    throw Error(fmt::format("{}: crop_size is {}x{}, expected at most size, {}x{}", processor_file,
                            processor.crop_size.width, processor.crop_size.height, width, height));
  }
  return processor;
}

at::Tensor to_tensor(const Picture& picture) {
  return at::from_blob(const_cast<std::uint8_t*>(picture.rgb.data()), {1, picture.height, picture.width, 3},
                       at::TensorOptions(at::kByte))
      .permute({0, 3, 1, 2})
      .to(at::kFloat)
      .contiguous();
}

Picture to_picture(const at::Tensor& pixels) {
  const at::Tensor bytes =
      (pixels.to(at::kFloat).clamp(0, 1) * 255).round().to(at::kByte).permute({1, 2, 0}).to(at::kCPU).contiguous();
  const auto* data = bytes.const_data_ptr<std::uint8_t>();
  return {.width = bytes.size(1), .height = bytes.size(0), .rgb = {data, data + bytes.numel()}};
}

at::Tensor preprocessed(const Picture& picture, const ClipImageProcessor& processor) {
  const PictureSize whole =
      processor.do_resize ? target_size(picture, processor) : PictureSize{picture.width, picture.height};
  const PictureSize seen = processor.do_center_crop ? processor.crop_size : whole;
  if (seen.width > whole.width || seen.height > whole.height) {
    throw Error(fmt::format("a picture of {}x{} pixels: {} cuts out {}x{} without resizing, expected no less",
                            whole.width, whole.height, processor_file, seen.width, seen.height));
  }
  const PictureWindow middle{
      .left = (whole.width - seen.width) / 2, .top = (whole.height - seen.height) / 2, .size = seen};
  at::Tensor pixels = to_tensor(resized(picture, whole, processor.resampling, middle));
  if (processor.do_rescale) pixels = pixels * processor.rescale_factor;
  if (processor.do_normalize) pixels = (pixels - column(processor.image_mean)) / column(processor.image_std);
  return pixels.contiguous();
}

}  // namespace bitreel
