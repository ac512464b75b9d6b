#include "pipelines/video/writer.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "base/partial.h"
#include "base/readable_json.h"
#include "pipelines/video/codecs.h"
#include "pipelines/video/libav.h"
#include "pipelines/video/libav_file.h"
#include "pipelines/video/output.h"
#include "pipelines/video/sequence.h"

namespace bitreel {
namespace {

// Text that isn't UTF-8 (a prompt from a strange terminal) must not cost the clip: its bad bytes become U+FFFD.
std::string text_of(const nlohmann::ordered_json& value) {
  return value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

VideoWriter::VideoWriter(const std::filesystem::path& path, const VideoOptions& options, int width, int height,
                         const nlohmann::ordered_json& provenance)
    : path_(path), width_(width), height_(height), provenance_(provenance) {
  keep_libav_log();
  check_output(path, options, provenance_.is_null() ? Sidecar::none : Sidecar::written);
  if (width < 1 || height < 1)
    throw Error(fmt::format("{}: frames of {}x{}, expected at least 1x1", path.string(), width, height));
  if (is_sequence(path)) {
    sink_ = write_sequence(path);
    if (!provenance_.is_null()) events_.emplace_back("png holds no comment: the provenance is in the sidecar alone");
    return;
  }
  const std::string comment = provenance_.is_null() ? std::string() : text_of(provenance_);
  sink_ = write_libav_file(path, choose_codec(path, options.codec), options, width, height, comment, events_);
}

VideoWriter::~VideoWriter() = default;

void VideoWriter::push(const Frame& frame) {
  if (frame.width != width_ || frame.height != height_) {
    throw Error(fmt::format("{}: frame {} is {}x{}, expected {}x{}", path_.string(), frames_, frame.width, frame.height,
                            width_, height_));
  }
  if (!sink_) throw Error(fmt::format("{}: a frame after the clip was finished", path_.string()));
  sink_->push(frame);
  ++frames_;
}

void VideoWriter::finish(const nlohmann::ordered_json& outcome) {
  if (!sink_) throw Error(fmt::format("{}: finished twice", path_.string()));
  if (frames_ == 0) throw Error(fmt::format("{}: a clip without frames", path_.string()));
  sink_->complete();
  if (provenance_.is_null()) {
    sink_->publish();
  } else {
    if (!outcome.is_null()) provenance_.update(outcome);
    const auto sidecar = sidecar_path(path_);
    // The clip takes its name last: where there is a clip, everything about it is there too.
    Partial partial(sidecar);
    write_file(partial.path(), readable_json(provenance_), sidecar.string());
    partial.publish();
    sink_->publish();
  }
  sink_.reset();
}

}  // namespace bitreel
