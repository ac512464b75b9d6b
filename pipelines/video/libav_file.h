// One video file through libav: RGB frames to pictures, pictures to packets, packets into a container.
//
//   auto file = write_libav_file(path, codec, options, 128, 128, comment, events);   // a FrameSink
//
// events: what turned out otherwise than asked is added, a sentence each.
// Errors: Error when no encoder of the codec opens for this size, or the disk refuses.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "pipelines/video/codecs.h"
#include "pipelines/video/sink.h"
#include "pipelines/video/writer.h"

namespace bitreel {

std::unique_ptr<FrameSink> write_libav_file(const std::filesystem::path& path, const Codec& codec,
                                            const VideoOptions& options, int width, int height,
                                            const std::string& comment, std::vector<std::string>& events);

}  // namespace bitreel
