// Seconds by a clock that nobody sets:
//
//   const WallClock::time_point begun = WallClock::now();
//   seconds_since(begun);
#pragma once

#include <chrono>

namespace bitreel {

using WallClock = std::chrono::steady_clock;

inline double seconds_since(WallClock::time_point begun) {
  return std::chrono::duration<double>(WallClock::now() - begun).count();
}

}  // namespace bitreel
