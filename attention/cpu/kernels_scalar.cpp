#include "attention/cpu/attend_block.h"
#include "attention/cpu/kernels.h"
#include "attention/cpu/lanes_scalar.h"
#include "attention/cpu/products_scalar.h"
#include "attention/cpu/serial.h"

namespace bitreel::cpu_scalar {
namespace {

struct Unit;  // of this file alone: what is made for it is too
using L = cpu::ScalarLanes<Unit>;
using Work = cpu::Serial<L, cpu::ScalarProducts<L>>;

}  // namespace

const cpu::Kernels& kernels() {
  return cpu::KernelsOf<L, Work>::table;
}

}  // namespace bitreel::cpu_scalar
