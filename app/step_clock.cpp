#include "app/step_clock.h"

namespace bitreel {

void StepClock::step(std::int64_t done) {
  const Clock::time_point now = Clock::now();
  const auto seconds_since = [&](Clock::time_point from) { return std::chrono::duration<double>(now - from).count(); };
  done_ = done;
  if (done_here() == 1) first_ = now;
  pace_ = done_here() > 1 ? seconds_since(first_) / static_cast<double>(done_here() - 1) : seconds_since(begun_);
}

}  // namespace bitreel
