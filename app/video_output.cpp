#include "app/video_output.h"

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

void deliver(CogVideoX& model, const at::Tensor& latents, const Render& render, const Checkpoint& checkpoint,
             const nlohmann::ordered_json& attention, Console& console) {
  const std::filesystem::path& output = render.options.output;
  const Request& request = render.request;
  console.begin("decode", request.num_frames, 0, "frame");
  VideoWriter video(output, render.video, static_cast<int>(request.width), static_cast<int>(request.height),
                    render.options.no_metadata ? nlohmann::json() : provenance(render, checkpoint, attention));
  for (const std::string& event : video.events()) {
    const std::vector<std::string>& said = console.warnings();  // before the work, most of them
    if (std::find(said.begin(), said.end(), event) == said.end()) console.warn(event);
  }
  std::int64_t frames = 0;
  model.decode(latents, request.num_frames, [&](const Frame& frame) {
    check_interrupt("no video was written");
    video.push(frame);
    console.step(++frames);
  });
  const nlohmann::ordered_json seconds = console.seconds();
  const std::int64_t peak = peak_memory_bytes();
  video.finish({{"seconds", seconds},
                {"peak_memory_bytes", peak},
                {"events", console.warnings()},
                {"finished", fmt::format("{:%FT%TZ}", fmt::gmtime(std::time(nullptr)))}});
  console.end();

  const std::string sidecar = render.options.no_metadata ? "" : sidecar_path(output).string();
  console.say(
      fmt::format("{}{}\n{}; peak memory {}", output.string(), sidecar.empty() ? "" : fmt::format(" ({})", sidecar),
                  seconds_text(console.seconds()), bytes_text(static_cast<double>(peak))),
      "done",
      {{"output", output.string()}, {"sidecar", sidecar}, {"seconds", console.seconds()}, {"peak_memory_bytes", peak}});
}

}  // namespace bitreel
