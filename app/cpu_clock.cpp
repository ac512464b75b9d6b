#include "app/cpu_clock.h"

#include <chrono>
#include <cstdint>
#include <fstream>

namespace bitreel {

std::string cpu_name() {
  std::ifstream stream("/proc/cpuinfo");
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown CPU";
}

double measured_clock_ghz() {
  constexpr int additions = 8, rounds = 1'000'000;
  std::uint64_t x = 1;
  const auto begun = std::chrono::steady_clock::now();
  for (int i = 0; i < rounds; ++i) {
    // Opaque to the compiler, so that no addition is folded into another.
    asm volatile(
        "add $1, %0\n add $1, %0\n add $1, %0\n add $1, %0\n"
        "add $1, %0\n add $1, %0\n add $1, %0\n add $1, %0\n"
        : "+r"(x));
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  return additions * rounds / seconds * 1e-9;
}

}  // namespace bitreel
