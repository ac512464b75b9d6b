// Pictures of at most 256 colours for gif: one palette chosen from the whole clip, errors diffused (libavfilter's
// palettegen and paletteuse).
//
//   Palette palette(128, 96, {1, 8});
//   palette.push(std::move(rgb));            // frame by frame; libav keeps them, three bytes a pixel
//   palette.end();
//   while (FramePtr picture = palette.pull()) encode(*picture);   // PAL8
#pragma once

#include "pipelines/video/libav.h"

namespace bitreel {

class Palette {
 public:
  Palette(int width, int height, AVRational time_base);
  void push(FramePtr rgb);  // RGB24
  void end();
  FramePtr pull();  // null when no picture is ready

 private:
  FilterGraphPtr graph_;
  AVFilterContext* source_ = nullptr;  // owned by the graph
  AVFilterContext* sink_ = nullptr;
};

}  // namespace bitreel
