#include "app/clip_file.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <ctime>

#include "app/files/provenance.h"
#include "app/interrupt.h"
#include "pipelines/video/output.h"

namespace bitreel {
namespace {

// The most memory this process held at once, mapped weight files included.
std::int64_t peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::int64_t>(usage.ru_maxrss) * 1024;
}

std::string seconds_text(const nlohmann::ordered_json& seconds) {
  std::string text;
  double total = 0;
  for (const auto& [phase, value] : seconds.items()) {
    text += fmt::format("{} {}, ", phase, duration_text(value));
    total += value.get<double>();
  }
  return text + fmt::format("in all {}", duration_text(total));
}

}  // namespace

ClipFile::ClipFile(const Render& render, const ClipRecord& record, Console& console)
    : render_(render),
      console_(console),
      video_(render.options.output, render.video, static_cast<int>(render.request.width),
             static_cast<int>(render.request.height),
             render.options.no_metadata ? nlohmann::json() : provenance(render, record.attention)) {
  console.begin("decode", render.request.num_frames);
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
  const std::int64_t peak = peak_memory_bytes();
  video_.finish({{"seconds", record.seconds},
                 {"peak_memory_bytes", peak},
                 {"events", console_.warnings()},
                 {"finished", fmt::format("{:%FT%TZ}", fmt::gmtime(std::time(nullptr)))}});
  console_.end();

  const std::string output = render_.options.output.string();
  const std::string sidecar = render_.options.no_metadata ? "" : sidecar_path(output).string();
  console_.say(
      fmt::format("{}{}\n{}; peak memory {}", output, sidecar.empty() ? "" : fmt::format(" ({})", sidecar),
                  seconds_text(console_.seconds()), bytes_text(static_cast<double>(peak))),
      "done", {{"output", output}, {"sidecar", sidecar}, {"seconds", console_.seconds()}, {"peak_memory_bytes", peak}});
}

}  // namespace bitreel
