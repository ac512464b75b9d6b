#include "app/console.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/printable.h"
#include "base/standard_streams.h"
#include "base/utf8.h"

namespace bitreel {
namespace {

using nlohmann::ordered_json;

constexpr double plain_line_every_s = 5;

double seconds_between(std::chrono::steady_clock::time_point from, std::chrono::steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

// As many characters as stand in one line of the terminal, less the last: some wrap when that is written.
std::string fitting_line(const std::string& text) {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 2) return text;
  std::size_t bytes = 0;
  for (int column = 1; column < size.ws_col && bytes < text.size(); ++column) {
    bytes += utf8_character_at(text, bytes).length;
  }
  return text.substr(0, bytes);
}

ProgressStyle resolved(ProgressStyle style) {
  if (style != ProgressStyle::automatic) return style;
  return isatty(STDERR_FILENO) != 0 ? ProgressStyle::terminal : ProgressStyle::plain;
}

}  // namespace

Console::Console(ProgressStyle style) : style_(resolved(style)) {}

Console::~Console() {
  clear_line();
}

void Console::say(const std::string& text, const std::string& event, const ordered_json& fields) {
  if (style_ == ProgressStyle::silent) return;
  if (style_ == ProgressStyle::json) return emit(event, fields);
  clear_line();
  print_error(printable_lines(text) + "\n");
}

void Console::warn(const std::string& message) {
  warnings_.push_back(message);
  say(fmt::format("bitreel: warning: {}", message), "warning", {{"message", message}});
}

void Console::warn_once(const std::string& message) {
  if (std::ranges::find(warnings_, message) == warnings_.end()) warn(message);
}

void Console::begin(const std::string& phase, std::int64_t count, std::int64_t done, const std::string& unit) {
  end();
  phase_ = phase;
  unit_ = unit;
  count_ = count;
  done_before_ = done;
  begun_ = last_line_ = Clock::now();
  if (style_ == ProgressStyle::json) {
    emit("phase", {{"phase", phase}});
  } else {
    show_line(fmt::format("[{}]", phase));
  }
}

void Console::count(std::int64_t steps) {
  count_ = steps;
}

void Console::step(std::int64_t done) {
  const Clock::time_point now = Clock::now();
  const std::int64_t done_here = done - done_before_;
  if (done_here == 1) first_step_ = now;
  // The first step pays for what is set up once, so later ones alone set the pace once there are any.
  const double pace = done_here > 1 ? seconds_between(first_step_, now) / static_cast<double>(done_here - 1)
                                    : seconds_between(begun_, now);
  const double left = pace * static_cast<double>(count_ - done);
  if (style_ == ProgressStyle::json) {
    return emit("step", {{"phase", phase_},
                         {"step", done},
                         {"of", count_},
                         {"unit", unit_},
                         {"seconds_per_step", pace},
                         {"seconds_left", left}});
  }
  if (style_ == ProgressStyle::plain && done_here != 1 && done != count_ &&
      seconds_between(last_line_, now) < plain_line_every_s) {
    return;
  }
  last_line_ = now;
  show_line(fmt::format("[{}] {}/{}  {:.3g} s/{}  {} left", phase_, done, count_, pace, unit_, duration_text(left)));
}

void Console::end() {
  if (phase_.empty()) return;
  finished_.emplace_back(phase_, seconds_between(begun_, Clock::now()));
  phase_.clear();
}

ordered_json Console::seconds() const {
  ordered_json by_phase = ordered_json::object();
  for (const auto& [phase, seconds] : finished_) by_phase[phase] = seconds;
  if (!phase_.empty()) by_phase[phase_] = seconds_between(begun_, Clock::now());
  return by_phase;
}

void Console::emit(const std::string& event, const ordered_json& fields) {
  ordered_json line = {{"event", event}};
  if (fields.is_object()) line.update(fields);
  print_output(line.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n");
  flush_output();
}

void Console::clear_line() {
  if (!line_open_) return;
  print_error("\r\033[K");
  line_open_ = false;
}

void Console::show_line(const std::string& text) {
  if (style_ == ProgressStyle::silent) return;
  if (style_ == ProgressStyle::terminal) {
    print_error("\r\033[K" + fitting_line(printable(text)));
    line_open_ = true;
  } else {
    print_error(printable(text) + "\n");
  }
}

std::string duration_text(double seconds) {
  if (seconds < 60) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

std::string bytes_text(double bytes) {
  constexpr double mib = 1024.0 * 1024.0;
  if (bytes < mib) return fmt::format("{:.0f} KiB", bytes / 1024);
  if (bytes < 1024 * mib) return fmt::format("{:.0f} MiB", bytes / mib);
  return fmt::format("{:.2f} GiB", bytes / mib / 1024);
}

}  // namespace bitreel
