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
  // A multiplication waits for the one before: 3 cycles on every x86-64 since 2008, AMD's since 2017. Additions would
  // not do, newer cores fold them.
  constexpr int multiplications = 8, cycles_each = 3, rounds = 300'000;
  std::uint64_t x = 3;
  const auto begun = std::chrono::steady_clock::now();
  for (int i = 0; i < rounds; ++i) {
    asm volatile(
        "imul %0, %0\n imul %0, %0\n imul %0, %0\n imul %0, %0\n"
        "imul %0, %0\n imul %0, %0\n imul %0, %0\n imul %0, %0\n"
        : "+r"(x));
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  return static_cast<double>(multiplications) * cycles_each * rounds / seconds * 1e-9;
}

}  // namespace bitreel
