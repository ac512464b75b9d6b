#include "app/console.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "app/flag_names.h"
#include "base/printable.h"
#include "base/standard_streams.h"
#include "base/utf8.h"

namespace bitreel {
namespace {

using nlohmann::ordered_json;

constexpr double plain_line_every_s = 5;

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

std::size_t rows_of_terminal() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 ? 24 : size.ws_row;
}

ProgressStyle resolved(ProgressStyle style) {
  if (style != ProgressStyle::automatic) return style;
  return isatty(STDERR_FILENO) != 0 ? ProgressStyle::terminal : ProgressStyle::plain;
}

}  // namespace

Console::Console(ProgressStyle style) : style_(resolved(style)) {}

Console::~Console() {
  clear_lines();
}

void Console::say(const std::string& text, const std::string& event, const ordered_json& fields) {
  if (style_ == ProgressStyle::silent) return;
  if (style_ == ProgressStyle::json) return emit(event, fields);
  clear_lines();
  print_error(printable_lines(text) + "\n");
}

void Console::warn(const std::string& text, const ordered_json& fields) {
  said_.insert(text);
  const std::string message = with_flags(text);
  remember({message});
  ordered_json all = {{"message", message}};
  if (fields.is_object()) all.update(fields);
  say(fmt::format("bitreel: warning: {}", message), "warning", all);
}

void Console::warn_once(const std::string& message, const ordered_json& fields) {
  if (!said_.contains(message)) warn(message, fields);
}

void Console::remember(const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) {
    if (std::ranges::find(warnings_, warning) == warnings_.end()) warnings_.push_back(warning);
  }
}

void Console::tell(const std::string& event, const ordered_json& fields) {
  if (style_ == ProgressStyle::json) emit(event, fields);
}

void Console::begin(const std::string& phase, std::int64_t count, std::int64_t done, const std::string& unit) {
  end();
  phase_ = phase;
  unit_ = unit;
  steps_ = StepClock(count, done);
  begun_ = last_line_ = WallClock::now();
  tell("phase", {{"phase", phase}});
  show({fmt::format("[{}]", phase)});
}

void Console::count(std::int64_t steps) {
  steps_.count(steps);
}

void Console::step(std::int64_t done) {
  steps_.step(done);
  const double pace = steps_.seconds_a_step(), left = steps_.seconds_left();
  tell("step", {{"phase", phase_},
                {"step", done},
                {"of", steps_.count()},
                {"unit", unit_},
                {"seconds_per_step", pace},
                {"seconds_left", left}});
  if (style_ == ProgressStyle::plain && steps_.done_here() != 1 && done != steps_.count() &&
      seconds_since(last_line_) < plain_line_every_s) {
    return;
  }
  last_line_ = WallClock::now();
  show({fmt::format("[{}] {}/{}  {:.3g} s/{}  {} left", phase_, done, steps_.count(), pace, unit_,
                    duration_text(left))});
}

void Console::end() {
  if (phase_.empty()) return;
  finished_.emplace_back(phase_, seconds_since(begun_));
  phase_.clear();
}

ordered_json Console::seconds() const {
  ordered_json by_phase = ordered_json::object();
  for (const auto& [phase, seconds] : finished_) by_phase[phase] = seconds;
  if (!phase_.empty()) by_phase[phase_] = seconds_since(begun_);
  return by_phase;
}

void Console::emit(const std::string& event, const ordered_json& fields) {
  ordered_json line = {{"event", event}};
  if (fields.is_object()) line.update(fields);
  print_output(line.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n");
  flush_output();
}

void Console::clear_lines() {
  if (lines_shown_ == 0) return;
  print_error("\r");
  if (lines_shown_ > 1) print_error(fmt::format("\033[{}A", lines_shown_ - 1));
  print_error("\033[J");
  lines_shown_ = 0;
}

void Console::show(const std::vector<std::string>& lines) {
  if (style_ == ProgressStyle::plain) {
    for (const std::string& line : lines) print_error(printable(line) + "\n");
  }
  if (style_ != ProgressStyle::terminal) return;
  clear_lines();
  const std::size_t rows = std::min(lines.size(), rows_of_terminal());
  for (std::size_t i = lines.size() - rows; i < lines.size(); ++i) {
    if (lines_shown_ > 0) print_error("\n");
    print_error(fitting_line(printable(lines[i])));
    ++lines_shown_;
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
