// Attention as the formula reads, in fp64: the oracle that every other backend is measured against.
//
// Full precision only; any shape, mask, bias and dtype. One head at a time, with its whole Nq x Nkv matrix: some 40
// bytes for each of its entries. NaN and infinity spread as the formula spreads them.
#pragma once

#include "attention/backend.h"

namespace bitreel {

const Backend& reference_backend();

}  // namespace bitreel
