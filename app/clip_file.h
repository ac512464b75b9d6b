// A clip on its way into its file: what generate, decode and compare have in common.
//
//   ClipFile file(render, record, console);              // frames stream to the encoder
//   render.model->decode(render.request, latents, file.sink());
//   file.finish(record);                                 // only now the file has its name
#pragma once

#include <nlohmann/json.hpp>

#include "app/clip.h"
#include "app/console.h"
#include "app/render.h"
#include "pipelines/video/writer.h"

namespace bitreel {

class ClipFile {
 public:
  // Into render.options.output and its sidecar. record: as far as it is known, for the video's comment.
  ClipFile(const Render& render, const ClipRecord& record, Console& console);

  // Interrupted when a signal comes between two frames.
  [[nodiscard]] DecodeSink sink();
  // Then says where the files are and what took how long.
  void finish(const ClipRecord& record);

 private:
  const Render& render_;
  Console& console_;
  VideoWriter video_;
  std::int64_t frames_ = 0;
};

}  // namespace bitreel
