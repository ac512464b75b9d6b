// A codec's encoder, opened: the first of the table's that this libav has and that takes the size.
//
//   const CodecContextPtr encoder = open_encoder(codec, options, 33, 17, GlobalHeader::yes, events);
//   encoder->width;   // 34 for h264: padded, and said in events
//
// Errors: Error with every encoder's reason when none opens.
#pragma once

#include <string>
#include <vector>

#include "pipelines/video/codecs.h"
#include "pipelines/video/libav.h"
#include "pipelines/video/writer.h"

namespace bitreel {

// Whether the container keeps the codec's parameters in its own header (mp4, mkv) rather than in the stream.
enum class GlobalHeader { no, yes };

// The context's width and height are what is stored: the frame's, padded to whole chroma samples where needed.
CodecContextPtr open_encoder(const Codec& codec, const VideoOptions& options, int width, int height,
                             GlobalHeader header, std::vector<std::string>& events);

}  // namespace bitreel
