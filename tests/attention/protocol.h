// The inputs on which the accuracy of quantized attention is judged: one head, 128 queries, 640 keys, 64 channels, fp32
// unless a set is about something else. Each is hard in its own way.
#pragma once

#include <string>
#include <vector>

#include "tests/attention/calls.h"

namespace bitreel {

// beyond_integers: channels so unequal that no scale per token fits them; 8 bits are measured there, not held to the
// gate.
enum class Hardness { usual, beyond_integers };

struct InputSet {
  std::string name;
  Inputs in;  // on the CPU: they live as long as the program, which a GPU's memory does not
  Hardness hardness = Hardness::usual;
};

const std::vector<InputSet>& protocol_inputs();

}  // namespace bitreel
