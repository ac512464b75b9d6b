// What a batch shows while it works: a line for each clip that is being made and one for the whole.
//
//   BatchProgress progress(console, {.jobs = 8});
//   progress.expect(flop);                                             // of each clip that is to be made
//   progress.begin({.index = 3, .label = "4/8 ring", .flop = flop});   // its turn has come
//   progress.step(3, 12, 50);
//   progress.end(3, ClipEnd::made);
//   progress.seconds_left();                                           // of the whole, at the pace so far
//
// A terminal's lines are rewritten; a log gets a clip's line every few seconds; programs get `phase` and `step` events
// with the clip's "job" (its index) and "name". One thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "app/console.h"
#include "app/step_clock.h"
#include "base/wall_clock.h"

namespace bitreel {

struct ClipShown {
  std::size_t index = 0;
  std::string label = {};  // for people
  std::string name = {};
  double flop = 0;
  std::int64_t steps = 0;
};

enum class ClipEnd { made, failed };

struct BatchProgressOptions {
  std::size_t jobs = 0;
};

class BatchProgress {
 public:
  BatchProgress(Console& console, BatchProgressOptions options) : console_(console), options_(options) {}

  void expect(double flop) { flop_left_ += flop; }
  void begin(const ClipShown& clip);
  void step(std::size_t index, std::int64_t done, std::int64_t of);
  void end(std::size_t index, ClipEnd how);

  [[nodiscard]] double seconds_left() const;  // 0 before there is a pace

 private:
  struct Running {
    ClipShown clip;
    StepClock steps;
    bool has_step = false;
    WallClock::time_point last_line = {};
  };

  void show(Running& running);
  [[nodiscard]] std::string line_of(const Running& running) const;
  [[nodiscard]] std::string line_of_all() const;

  Console& console_;
  BatchProgressOptions options_;
  std::map<std::size_t, Running> running_;  // by index
  std::size_t made_ = 0;
  double flop_left_ = 0, flop_made_ = 0;
  WallClock::time_point begun_ = WallClock::now();
  WallClock::time_point last_shown_ = {};
};

}  // namespace bitreel
