#include "attention/cpu/kernels.h"

namespace bitreel::cpu_scalar {
namespace {

using namespace cpu;
#include "attention/cpu/elements.inc"
#include "attention/cpu/lanes_scalar.inc"

#include "attention/cpu/pack.inc"

#include "attention/cpu/softmax.inc"

#include "attention/cpu/products_scalar.inc"

#include "attention/cpu/serial.inc"

#include "attention/cpu/attend.inc"

}  // namespace

const Kernels& kernels() {
  return table;
}

}  // namespace bitreel::cpu_scalar
