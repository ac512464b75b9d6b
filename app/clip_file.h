// A run's results on their way into their files: what generate, decode, compare and batch have in common.
//
//   ClipFile file(render, record, console);              // frames stream to the encoder's thread
//   render.model->decode(render.request, latents, file.sink());
//   file.finish(record);                                 // only now the file has its name
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "app/clip.h"
#include "app/console.h"
#include "app/files/still_files.h"
#include "app/render.h"
#include "pipelines/video/encoder_thread.h"
#include "pipelines/video/writer.h"

namespace bitreel {

class ClipFile {
 public:
  // Into render.files and their sidecar. record: as far as it is known, for the video's comment.
  ClipFile(const Render& render, const ClipRecord& record, Console& console);

  // Interrupted when a signal comes between two frames, pictures or texts.
  [[nodiscard]] DecodeSink sink();
  // Then says where the files are and what took how long.
  void finish(const ClipRecord& record);

 private:
  void count();

  const Render& render_;
  Console& console_;
  std::optional<VideoWriter> video_;
  std::optional<EncoderThread> encoder_;  // of the video
  std::optional<StillFiles> stills_;      // where there is no video
  std::int64_t done_ = 0;
};

}  // namespace bitreel
