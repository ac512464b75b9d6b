#include "pipelines/video/colour.h"

#include <algorithm>
#include <cstring>

extern "C" {
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
}

namespace bitreel {
namespace {

bool is_rgb(AVPixelFormat format) {
  const AVPixFmtDescriptor* description = av_pix_fmt_desc_get(format);
  return (description->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL)) != 0;
}

struct Side {
  AVPixelFormat format;
  AVColorSpace space;
  AVColorRange range;
};

// Full resolution chroma on the RGB side, and rounding rather than truncation: swscale's fast paths lose up to 4
// levels.
constexpr int exact = SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP;

// In 1/256 of a luma sample: chroma sits on the left column, between two rows (4:2:0) or on each row (4:2:2).
void site_chroma(SwsContext* scaler, const char* horizontal, const char* vertical, AVPixelFormat format) {
  const AVPixFmtDescriptor* description = av_pix_fmt_desc_get(format);
  if (description->log2_chroma_w == 1) av_opt_set_int(scaler, horizontal, 0, 0);
  if (description->log2_chroma_h == 1) av_opt_set_int(scaler, vertical, 128, 0);
}

ScalerPtr make_scaler(int width, int height, const Side& from, const Side& to) {
  ScalerPtr scaler(check_allocated(sws_alloc_context()));
  SwsContext* raw = scaler.get();
  av_opt_set_int(raw, "srcw", width, 0);
  av_opt_set_int(raw, "srch", height, 0);
  av_opt_set_int(raw, "dstw", width, 0);
  av_opt_set_int(raw, "dsth", height, 0);
  av_opt_set_int(raw, "src_format", from.format, 0);
  av_opt_set_int(raw, "dst_format", to.format, 0);
  av_opt_set_int(raw, "sws_flags", exact, 0);
  site_chroma(raw, "src_h_chr_pos", "src_v_chr_pos", from.format);
  site_chroma(raw, "dst_h_chr_pos", "dst_v_chr_pos", to.format);
  check_libav(sws_init_context(raw, nullptr, nullptr), "colour conversion");
  // AVCOL_SPC_* and SWS_CS_* share their numbers; what is unspecified or RGB gets the default, bt601.
  // Refused for RGB to RGB, where there is no matrix to set.
  sws_setColorspaceDetails(raw, sws_getCoefficients(from.space), from.range == AVCOL_RANGE_JPEG ? 1 : 0,
                           sws_getCoefficients(to.space), to.range == AVCOL_RANGE_JPEG ? 1 : 0, 0, 1 << 16, 1 << 16);
  return scaler;
}

constexpr Side rgb_side{AV_PIX_FMT_RGB24, AVCOL_SPC_RGB, AVCOL_RANGE_JPEG};

}  // namespace

ColourTags tags_of(AVPixelFormat format) {
  if (is_rgb(format)) {
    return {AVCOL_PRI_BT709, AVCOL_TRC_IEC61966_2_1, AVCOL_SPC_RGB, AVCOL_RANGE_JPEG, AVCHROMA_LOC_UNSPECIFIED};
  }
  return {AVCOL_PRI_BT709, AVCOL_TRC_BT709, AVCOL_SPC_BT709, AVCOL_RANGE_MPEG, AVCHROMA_LOC_LEFT};
}

PictureMaker::PictureMaker(AVPixelFormat format, int width, int height, int stored_width, int stored_height)
    : rgb_(make_frame(AV_PIX_FMT_RGB24, stored_width, stored_height)), format_(format), width_(width), height_(height) {
  if (format == AV_PIX_FMT_RGB24) return;
  const ColourTags tags = tags_of(format);
  scaler_ = make_scaler(stored_width, stored_height, rgb_side, {format, tags.space, tags.range});
}

FramePtr PictureMaker::operator()(const Frame& frame) {
  // A copy with room behind each row: swscale reads in whole vectors.
  check_libav(av_frame_make_writable(rgb_.get()), "a picture");
  const std::size_t row_bytes = std::size_t(width_) * 3;
  for (int y = 0; y < rgb_->height; ++y) {
    std::uint8_t* row = rgb_->data[0] + std::ptrdiff_t(y) * rgb_->linesize[0];
    std::memcpy(row, frame.rgb + row_bytes * std::size_t(std::min(y, height_ - 1)), row_bytes);
    for (int x = width_; x < rgb_->width; ++x) std::memcpy(row + std::ptrdiff_t(x) * 3, row + row_bytes - 3, 3);
  }
  FramePtr picture;
  if (scaler_) {
    picture = make_frame(format_, rgb_->width, rgb_->height);
    check_libav(sws_scale(scaler_.get(), rgb_->data, rgb_->linesize, 0, rgb_->height, picture->data, picture->linesize),
                "colour conversion");
  } else {
    picture = FramePtr(check_allocated(av_frame_clone(rgb_.get())));
  }
  const ColourTags tags = tags_of(format_);
  picture->color_primaries = tags.primaries;
  picture->color_trc = tags.transfer;
  picture->colorspace = tags.space;
  picture->color_range = tags.range;
  picture->chroma_location = tags.chroma;
  return picture;
}

void RgbMaker::prepare(const AVFrame& picture) {
  const auto format = static_cast<AVPixelFormat>(picture.format);
  if (scaler_ && format_ == format && rgb_->width == picture.width && rgb_->height == picture.height) return;
  scaler_ = make_scaler(picture.width, picture.height, {format, picture.colorspace, picture.color_range}, rgb_side);
  rgb_ = make_frame(AV_PIX_FMT_RGB24, picture.width, picture.height);
  format_ = format;
}

Frame RgbMaker::operator()(const AVFrame& picture) {
  prepare(picture);
  check_libav(sws_scale(scaler_.get(), picture.data, picture.linesize, 0, picture.height, rgb_->data, rgb_->linesize),
              "colour conversion");
  const std::size_t row_bytes = std::size_t(picture.width) * 3;
  packed_.resize(row_bytes * std::size_t(picture.height));
  for (int y = 0; y < picture.height; ++y) {
    std::memcpy(packed_.data() + row_bytes * std::size_t(y), rgb_->data[0] + std::ptrdiff_t(y) * rgb_->linesize[0],
                row_bytes);
  }
  return {.rgb = packed_.data(), .width = picture.width, .height = picture.height};
}

}  // namespace bitreel
