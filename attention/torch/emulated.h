// Quantized attention as a recipe defines it, in plain tensor operations: what every kernel must agree with, and what
// runs a recipe where no kernel can. Integers, scales and the rounding of P are the recipe's (attention/quantize.h);
// everything between them is fp64, so that what a kernel adds of its own shows.
//
// Every recipe, shape, mask and dtype up to fp32, on the CPU and CUDA. One head and one block of keys at a time.
#pragma once

#include "attention/backend.h"

namespace bitreel {

const Backend& emulated_backend();

}  // namespace bitreel
