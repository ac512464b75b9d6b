#include "app/interrupt.h"

#include <unistd.h>

#include <csignal>

namespace bitreel {
namespace {

volatile std::sig_atomic_t received = 0;

extern "C" void on_signal(int signal) {
  received = signal;
  std::signal(signal, SIG_DFL);  // the second one is not caught
  constexpr std::string_view message = "\nbitreel: stopping after this step; once more stops at once\n";
  // Nothing can be done about a failed write here, and only write() is safe in a handler.
  [[maybe_unused]] const auto written = write(STDERR_FILENO, message.data(), message.size());
}

}  // namespace

void watch_interrupts() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
}

bool interrupt_requested() {
  return received != 0;
}

void check_interrupt(std::string_view outcome) {
  if (interrupt_requested()) throw Interrupted{received, std::string(outcome)};
}

}  // namespace bitreel
