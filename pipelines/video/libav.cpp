#include "pipelines/video/libav.h"

#include <fmt/format.h>

#include <array>
#include <mutex>
#include <utility>

#include "base/error.h"

extern "C" {
#include <libavutil/log.h>
}

namespace bitreel {
namespace {

// Encoders log from threads of their own.
std::mutex log_mutex;
std::string last_error_line;  // NOLINT(cert-err58-cpp)

void keep(void* source, int level, const char* format, va_list arguments) {
  if (level > AV_LOG_ERROR) return;
  std::array<char, 512> line{};
  int print_prefix = 0;
  av_log_format_line2(source, level, format, arguments, line.data(), line.size(), &print_prefix);
  std::string text = line.data();
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  if (text.empty()) return;
  const std::lock_guard lock(log_mutex);
  last_error_line = std::move(text);
}

}  // namespace

void keep_libav_log() {
  static std::once_flag once;
  std::call_once(once, [] { av_log_set_callback(keep); });
  take_libav_error();
}

std::string take_libav_error() {
  const std::lock_guard lock(log_mutex);
  return std::exchange(last_error_line, {});
}

std::string libav_reason(int code) {
  std::array<char, AV_ERROR_MAX_STRING_SIZE> text{};
  av_strerror(code, text.data(), text.size());
  const std::string line = take_libav_error();
  return line.empty() ? text.data() : fmt::format("{} ({})", text.data(), line);
}

int check_libav(int code, const std::string& what) {
  if (code < 0) throw Error(fmt::format("{}: {}", what, libav_reason(code)));
  return code;
}

FramePtr make_frame() {
  return FramePtr(check_allocated(av_frame_alloc()));
}

FramePtr make_frame(AVPixelFormat format, int width, int height) {
  FramePtr frame = make_frame();
  frame->format = format;
  frame->width = width;
  frame->height = height;
  check_libav(av_frame_get_buffer(frame.get(), 0), fmt::format("a picture of {}x{}", width, height));
  return frame;
}

PacketPtr make_packet() {
  return PacketPtr(check_allocated(av_packet_alloc()));
}

}  // namespace bitreel
