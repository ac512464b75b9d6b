#include "app/cpu_clock.h"

#include <cstdint>
#include <fstream>

#include "base/wall_clock.h"

namespace bitreel {

std::string cpu_name() {
  std::ifstream stream("/proc/cpuinfo");
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown CPU";
}

double measured_clock_ghz() {
#if defined(__x86_64__)
  // A multiplication waits for the one before: 3 cycles on every x86-64 since 2008, AMD's since 2017. Additions would
  // not do, newer cores fold them.
  constexpr int operations = 8, cycles_each = 3;
  const auto eight = [](std::uint64_t& x) {
    asm volatile(
        "imul %0, %0\n imul %0, %0\n imul %0, %0\n imul %0, %0\n"
        "imul %0, %0\n imul %0, %0\n imul %0, %0\n imul %0, %0\n"
        : "+r"(x));
  };
#elif defined(__aarch64__)
  // An addition of 1 waits for the one before: a cycle.
  constexpr int operations = 8, cycles_each = 1;
  const auto eight = [](std::uint64_t& x) {
    asm volatile(
        "add %0, %0, #1\n add %0, %0, #1\n add %0, %0, #1\n add %0, %0, #1\n"
        "add %0, %0, #1\n add %0, %0, #1\n add %0, %0, #1\n add %0, %0, #1\n"
        : "+r"(x));
  };
#endif
  constexpr int rounds = 300'000;
  std::uint64_t x = 3;
  const WallClock::time_point begun = WallClock::now();
  for (int i = 0; i < rounds; ++i) eight(x);
  const double seconds = seconds_since(begun);
  return static_cast<double>(operations) * cycles_each * rounds / seconds * 1e-9;
}

}  // namespace bitreel
