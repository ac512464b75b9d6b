// bitreel info system: what a report of a fault should hold. Versions, processor, memory, GPU, libraries, and the
// variables that change what runs.
//
//   print_output(printable_lines(describe_system()));
#pragma once

#include <string>

namespace bitreel {

std::string describe_system();

}  // namespace bitreel
