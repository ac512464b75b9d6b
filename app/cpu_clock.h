// Which CPU this is and how fast its clock runs right now: timings without it can't be compared.
#pragma once

#include <string>

namespace bitreel {

std::string cpu_name();

// By timing a chain of multiplications, each of which waits for the one before; a few milliseconds.
double measured_clock_ghz();

}  // namespace bitreel
