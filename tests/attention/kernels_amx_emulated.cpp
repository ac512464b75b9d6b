#include "tests/attention/kernels_amx_emulated.h"

#include "attention/cpu/attend_block.h"
#include "attention/cpu/lanes_scalar.h"
#include "attention/cpu/products_amx.h"
#include "tests/attention/tiles_emulated.h"

namespace bitreel::cpu_amx_emulated {
namespace {

struct Unit;
using L = cpu::ScalarLanes<Unit>;

}  // namespace

const cpu::Kernels& kernels() {
  return cpu::KernelsOf<L, cpu::AmxProducts<L, cpu::EmulatedTiles<Unit>>>::table;
}

}  // namespace bitreel::cpu_amx_emulated
