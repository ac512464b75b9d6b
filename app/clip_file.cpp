#include "app/clip_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/interrupt.h"

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
    : render_(render), console_(console) {
  const nlohmann::ordered_json origin =
      render.options.no_metadata ? nlohmann::ordered_json() : provenance(render, record);
  if (render.files.video.empty()) {
    stills_.emplace(render.files, origin);
    console.begin("decode", std::ssize(render.files.all()), 0, "file");
    return;
  }
  video_.emplace(render.files.video, render.video, static_cast<int>(render.request.width),
                 static_cast<int>(render.request.height), origin);
  encoder_.emplace([this](const Frame& frame) { video_->push(frame); });
  console.begin("decode", render.request.num_frames, 0, "frame");
  for (const std::string& event : video_->events()) console.warn_once(event);  // most were said before the work
}

void ClipFile::count() {
  console_.step(++done_);
}

DecodeSink ClipFile::sink() {
  const auto check = [this] { check_interrupt(video_ ? "no video was written" : "nothing was written"); };
  DecodeSink sink;
  sink.on_remark = [this](const std::string& remark) { console_.warn_once(remark); };
  if (video_) {
    sink.on_frame = [this, check](const Frame& frame) {
      check();
      encoder_->push(frame);
      count();
    };
    return sink;
  }
  sink.on_image = [this, check](const Frame& picture) {
    check();
    stills_->push_picture(picture);
    count();
  };
  sink.on_text = [this, check](const std::string& text) {
    check();
    stills_->push_text(text);
    count();
  };
  return sink;
}

void ClipFile::finish(const ClipRecord& record) {
  ClipRecord whole = record;
  whole.events = console_.warnings();  // what decoding found out included
  if (video_) {
    encoder_->finish();
    video_->finish(outcome(whole));
  }
  if (stills_) stills_->finish(outcome(whole));
  console_.end();

  const std::string sidecar = render_.options.no_metadata ? "" : sidecar_of(render_.files).string();
  nlohmann::ordered_json fields = {{"output", render_.files.name.string()}, {"sidecar", sidecar}};
  std::string text;
  for (const std::filesystem::path& file : render_.files.all()) text += (text.empty() ? "" : ", ") + file.string();
  if (!sidecar.empty()) text += fmt::format(" ({})", sidecar);
  if (stills_) {
    fields["files"] = nlohmann::ordered_json::array();
    for (const std::filesystem::path& file : render_.files.all()) fields["files"].push_back(file.string());
    fields["texts"] = stills_->texts();
    for (const std::string& caption : stills_->texts()) text += fmt::format("\n\"{}\"", caption);
  }
  fields["seconds"] = console_.seconds();
  fields["peak_memory_bytes"] = record.peak_host_bytes;
  console_.say(fmt::format("{}\n{}; peak memory {}", text, seconds_text(console_.seconds()), memory_text(record)),
               "done", fields);
}

}  // namespace bitreel
