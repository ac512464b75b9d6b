// Between 8-bit RGB frames and the pictures that codecs code: matrix, range, chroma siting, padding.
//
//   PictureMaker make(AV_PIX_FMT_YUV420P, 33, 18, 34, 18);   // a column repeated, to a whole chroma sample
//   FramePtr picture = make(frame);                          // tagged bt709, limited, chroma left
//   RgbMaker rgb;                                            // the other way, by the picture's own tags
//   const Frame back = rgb(*picture);                        // borrowed until the next call
//
// swscale's defaults are bt601 and centred chroma, so both are always set here (ITU-R BT.709-6, H.264 annex E).
#pragma once

#include <cstdint>
#include <vector>

#include "pipelines/video/frame.h"
#include "pipelines/video/libav.h"

namespace bitreel {

class PictureMaker {
 public:
  // stored_*: at least the frame's size; the last column and row are repeated to fill it.
  PictureMaker(AVPixelFormat format, int width, int height, int stored_width, int stored_height);
  FramePtr operator()(const Frame& frame);

 private:
  FramePtr rgb_;
  AVPixelFormat format_;
  int width_;
  int height_;
  ScalerPtr scaler_;  // none when the format is RGB24 itself
};

class RgbMaker {
 public:
  Frame operator()(const AVFrame& picture);

 private:
  void prepare(const AVFrame& picture);

  ScalerPtr scaler_;
  FramePtr rgb_;
  AVPixelFormat format_ = AV_PIX_FMT_NONE;
  std::vector<std::uint8_t> packed_;
};

// What codecs and containers are told about pictures of this format.
struct ColourTags {
  AVColorPrimaries primaries;
  AVColorTransferCharacteristic transfer;
  AVColorSpace space;
  AVColorRange range;
  AVChromaLocation chroma;
};
ColourTags tags_of(AVPixelFormat format);

}  // namespace bitreel
