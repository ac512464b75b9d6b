// What VideoWriter writes into, frame by frame: one file through libav, or a sequence of pictures.
// Destroyed before publish(), a sink removes what it wrote.
#pragma once

#include "pipelines/video/frame.h"

namespace bitreel {

class FrameSink {
 public:
  virtual ~FrameSink() = default;
  virtual void push(const Frame& frame) = 0;
  virtual void complete() = 0;  // everything is on the disk, still under its partial name
  virtual void publish() = 0;   // everything has its own name
};

}  // namespace bitreel
