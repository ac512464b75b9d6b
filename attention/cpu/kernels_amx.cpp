#include "attention/cpu/attend_block.h"
#include "attention/cpu/kernels.h"
#include "attention/cpu/lanes_avx512.h"
#include "attention/cpu/products_amx.h"
#include "attention/cpu/tiles_amx.h"

namespace bitreel::cpu_amx {
namespace {

struct Unit;  // of this file alone: what is made for it is too
using L = cpu::Avx512Lanes<Unit>;
using Work = cpu::AmxProducts<L, cpu::AmxTiles<Unit>>;

}  // namespace

const cpu::Kernels& kernels() {
  return cpu::KernelsOf<L, Work>::table;
}

}  // namespace bitreel::cpu_amx
