// How fast steps come, and how long those that are left will take.
//
//   StepClock clock(50);       // from here on, of 50 steps
//   clock.step(12);            // 12 are complete
//   clock.seconds_a_step();
//   clock.seconds_left();
//
// The first step pays for what is set up once, so later ones alone set the pace once there are any.
#pragma once

#include <chrono>
#include <cstdint>

namespace bitreel {

class StepClock {
 public:
  // done: steps that were complete before.
  explicit StepClock(std::int64_t count = 0, std::int64_t done = 0) : count_(count), before_(done), done_(done) {}

  void count(std::int64_t steps) { count_ = steps; }            // when it is known only later
  void begin_at(std::int64_t done) { before_ = done_ = done; }  // the same of what was complete before
  void step(std::int64_t done);

  [[nodiscard]] std::int64_t count() const { return count_; }
  [[nodiscard]] std::int64_t done() const { return done_; }
  [[nodiscard]] std::int64_t done_here() const { return done_ - before_; }  // since this began
  [[nodiscard]] double seconds_a_step() const { return pace_; }             // 0 before the first
  [[nodiscard]] double seconds_left() const { return pace_ * static_cast<double>(count_ - done_); }

 private:
  using Clock = std::chrono::steady_clock;

  std::int64_t count_, before_, done_;
  Clock::time_point begun_ = Clock::now();
  Clock::time_point first_ = begun_;  // when the first step was complete
  double pace_ = 0;
};

}  // namespace bitreel
