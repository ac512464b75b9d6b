// This machine's name, for ledgers and locks that several machines read.
#pragma once

#include <string>

namespace bitreel {

std::string host_name();

}  // namespace bitreel
