// Ctrl-C, SIGTERM and a terminal that hangs up: work stops at the next step or frame, destructors run, half-written
// files are removed.
//
//   watch_interrupts();                           // by the commands that check
//   check_interrupt("no video was written");      // between steps: throws Interrupted after a signal
//   if (interrupt_requested()) keep(latents);     // what should happen before that
//
// A second signal ends the process at once; half-written files are removed all the same. A SIGHUP that nohup ignores
// stays ignored.
#pragma once

#include <string>
#include <string_view>

namespace bitreel {

struct Interrupted {
  int signal = 0;       // main exits with 128 + signal, as shells expect
  std::string outcome;  // what is lost or kept, for the person
};

void watch_interrupts();
bool interrupt_requested();
void check_interrupt(std::string_view outcome);

}  // namespace bitreel
