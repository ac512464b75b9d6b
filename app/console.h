// What a person, a log file or a program sees while a clip is made.
//
//   Console console(ProgressStyle::automatic);
//   console.begin("denoise", 50);          // ends the phase before, starts its clock
//   console.step(12);                      // [denoise] 12/50  0.31 s/step  11.8 s left
//   console.begin("decode", 25, 0, "frame");   // [decode] 3/25  0.1 s/frame  2.2 s left
//   console.warn("the prompt was cut");    // said, and kept for the sidecar
//   console.end();
//
// terminal: one line on stderr that is rewritten, cut at the terminal's width. plain: lines on stderr, at most one step
// line every few seconds. json: one object a line on stdout (docs/events.md lists them); nothing else is written there.
// Errors are main's business and go to stderr in every style.
// Work that runs side by side shows a line for each, and tells programs for itself:
//
//   console.show({"[1/8 star] 12/50", "[2/8 ring] 3/50"});
//   console.tell("step", {{"job", 0}, {"step", 12}});
//
// What is shown is shown printable (base/printable.h); JSON stays exact. A stream that takes no more is not an error
// here: the work goes on, and main says at its end that standard output is not whole.
// silent: nothing is written; warnings and seconds are kept for whoever asks, a batch for instance, whose own console
// tells of all its clips.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "app/step_clock.h"
#include "base/wall_clock.h"

namespace bitreel {

// automatic: terminal when stderr is one, else plain. silent is no person's choice.
enum class ProgressStyle { automatic, terminal, plain, json, silent };

class Console {
 public:
  explicit Console(ProgressStyle style);
  ~Console();  // leaves the cursor on a line of its own
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  // For people: a line of text. For programs: the event with its fields.
  void say(const std::string& text, const std::string& event, const nlohmann::ordered_json& fields = {});
  // Names flags where the message marks fields (flag_names.h). fields: of the event, beside the message.
  void warn(const std::string& text, const nlohmann::ordered_json& fields = {});
  // Unless the same was said before, by this run.
  void warn_once(const std::string& message, const nlohmann::ordered_json& fields = {});
  // For programs alone: nothing in other styles.
  void tell(const std::string& event, const nlohmann::ordered_json& fields);

  // What an earlier run of the same clip warned of: kept, not said again.
  void remember(const std::vector<std::string>& warnings);

  // done: steps that were complete before. unit: what step() counts.
  void begin(const std::string& phase, std::int64_t count = 0, std::int64_t done = 0, const std::string& unit = "step");
  void count(std::int64_t steps);  // when it is known only after begin()
  void step(std::int64_t done);    // steps of this phase that are complete
  void end();
  // Lines that take the place of those shown before, where lines can be rewritten; a terminal that has fewer rows than
  // lines shows the last ones. Nothing for programs.
  void show(const std::vector<std::string>& lines);
  [[nodiscard]] bool rewrites_lines() const { return style_ == ProgressStyle::terminal; }

  // Seconds by phase, in order, the running one included.
  [[nodiscard]] nlohmann::ordered_json seconds() const;
  // Each once.
  [[nodiscard]] const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  void emit(const std::string& event, const nlohmann::ordered_json& fields);
  void clear_lines();

  ProgressStyle style_;
  std::string phase_, unit_;
  StepClock steps_;
  WallClock::time_point begun_;
  WallClock::time_point last_line_;
  std::size_t lines_shown_ = 0;  // that the next ones take the place of
  std::vector<std::pair<std::string, double>> finished_;
  std::vector<std::string> warnings_;
  std::set<std::string> said_;
};

// 75.2 -> "1 min 15 s", 11.84 -> "11.8 s".
std::string duration_text(double seconds);
// 1610612736 -> "1.5 GiB".
std::string bytes_text(double bytes);

}  // namespace bitreel
