#include "attention/cpu/attend_block.h"
#include "attention/cpu/kernels.h"
#include "attention/cpu/lanes_avx512.h"
#include "attention/cpu/products_avx512_vnni.h"
#include "attention/cpu/serial.h"

namespace bitreel::cpu_avx512_vnni {
namespace {

struct Unit;  // of this file alone: what is made for it is too
using L = cpu::Avx512Lanes<Unit>;
using Work = cpu::Serial<L, cpu::Avx512VnniProducts<L>>;

}  // namespace

const cpu::Kernels& kernels() {
  return cpu::KernelsOf<L, Work>::table;
}

}  // namespace bitreel::cpu_avx512_vnni
