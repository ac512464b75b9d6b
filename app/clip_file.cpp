#include "app/clip_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/interrupt.h"
#include "pipelines/video/output.h"

namespace bitreel {
namespace {

std::string seconds_text(const nlohmann::ordered_json& seconds) {
  std::string text;
  double total = 0;
  for (const auto& [phase, value] : seconds.items()) {
    text += fmt::format("{} {}, ", phase, duration_text(value));
    total += value.get<double>();
  }
  return text + fmt::format("in all {}", duration_text(total));
}

std::string memory_text(const ClipRecord& record) {
  std::string text = bytes_text(static_cast<double>(record.peak_host_bytes));
  if (record.peak_device_bytes > 0)
    text += fmt::format(", {} on the GPU", bytes_text(static_cast<double>(record.peak_device_bytes)));
  return text;
}

}  // namespace

ClipFile::ClipFile(const Render& render, const ClipRecord& record, Console& console)
    : render_(render),
      console_(console),
      video_(render.options.output, render.video, static_cast<int>(render.request.width),
             static_cast<int>(render.request.height),
             render.options.no_metadata ? nlohmann::ordered_json() : provenance(render, record)) {
  console.begin("decode", render.request.num_frames, 0, "frame");
  for (const std::string& event : video_.events()) console.warn_once(event);  // most were said before the work
}

DecodeSink ClipFile::sink() {
  return {.on_frame = [this](const Frame& frame) {
    check_interrupt("no video was written");
    video_.push(frame);
    console_.step(++frames_);
  }};
}

void ClipFile::finish(const ClipRecord& record) {
  video_.finish(outcome(record));
  console_.end();

  const std::string output = render_.options.output.string();
  const std::string sidecar = render_.options.no_metadata ? "" : sidecar_path(output).string();
  console_.say(fmt::format("{}{}\n{}; peak memory {}", output, sidecar.empty() ? "" : fmt::format(" ({})", sidecar),
                           seconds_text(console_.seconds()), memory_text(record)),
               "done",
               {{"output", output},
                {"sidecar", sidecar},
                {"seconds", console_.seconds()},
                {"peak_memory_bytes", record.peak_host_bytes}});
}

}  // namespace bitreel
