// What a UniDiffuser run ends in, kept.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "pipelines/image/picture.h"
#include "pipelines/model/pipeline.h"

namespace bitreel {

struct Results {
  std::vector<Picture> pictures;
  std::vector<std::string> texts, remarks;

  DecodeSink sink() {
    DecodeSink sink;
    sink.on_image = [this](const Frame& frame) {
      const auto bytes = static_cast<std::ptrdiff_t>(frame.width) * frame.height * 3;
      pictures.push_back({.width = frame.width, .height = frame.height, .rgb = {frame.rgb, frame.rgb + bytes}});
    };
    sink.on_text = [this](const std::string& text) { texts.push_back(text); };
    sink.on_remark = [this](const std::string& remark) { remarks.push_back(remark); };
    return sink;
  }
};

}  // namespace bitreel
