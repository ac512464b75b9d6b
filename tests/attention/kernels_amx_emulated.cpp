#include "tests/attention/kernels_amx_emulated.h"

namespace bitreel::cpu_amx_emulated {
namespace {

using namespace cpu;
#include "attention/cpu/elements.inc"
#include "attention/cpu/lanes_scalar.inc"

#include "attention/cpu/pack.inc"

#include "attention/cpu/softmax.inc"
#include "tests/attention/tiles_emulated.inc"

#include "attention/cpu/products_amx.inc"

#include "attention/cpu/attend.inc"

}  // namespace

const Kernels& kernels() {
  return table;
}

}  // namespace bitreel::cpu_amx_emulated
