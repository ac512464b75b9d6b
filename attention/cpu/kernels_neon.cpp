#include "attention/cpu/attend_block.h"
#include "attention/cpu/kernels.h"
#include "attention/cpu/lanes_scalar.h"
#include "attention/cpu/products_neon.h"
#include "attention/cpu/serial.h"

namespace bitreel::cpu_neon {
namespace {

struct Unit;                       // of this file alone: what is made for it is too
using L = cpu::ScalarLanes<Unit>;  // which compilers turn into NEON by themselves
using Work = cpu::Serial<L, cpu::NeonProducts<L>>;

}  // namespace

const cpu::Kernels& kernels() {
  return cpu::KernelsOf<L, Work>::table;
}

}  // namespace bitreel::cpu_neon
