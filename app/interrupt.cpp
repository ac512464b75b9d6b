#include "app/interrupt.h"

#include <unistd.h>

#include <csignal>

#include "base/partial.h"

namespace bitreel {
namespace {

volatile std::sig_atomic_t received = 0;

// Only system calls are safe in here.
extern "C" void on_signal(int signal) {
  if (received != 0) {
    remove_partials_at_once();
    std::signal(signal, SIG_DFL);
    std::raise(signal);
    return;
  }
  received = signal;
  constexpr std::string_view message = "\nbitreel: stopping after this step; once more stops at once\n";
  // Nothing can be done about a failed write here.
  [[maybe_unused]] const auto written = write(STDERR_FILENO, message.data(), message.size());
}

}  // namespace

void watch_interrupts() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  if (std::signal(SIGHUP, on_signal) == SIG_IGN) std::signal(SIGHUP, SIG_IGN);
}

bool interrupt_requested() {
  return received != 0;
}

void check_interrupt(std::string_view outcome) {
  if (interrupt_requested()) throw Interrupted{received, std::string(outcome)};
}

}  // namespace bitreel
