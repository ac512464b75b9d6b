#include "attention/cpu/kernels.h"

#include <immintrin.h>

namespace bitreel::cpu_avx_vnni {
namespace {

using namespace cpu;
#include "attention/cpu/elements.inc"
#include "attention/cpu/lanes_avx2.inc"

#include "attention/cpu/pack.inc"

#include "attention/cpu/softmax.inc"

#include "attention/cpu/products_avx_vnni.inc"

#include "attention/cpu/serial.inc"

#include "attention/cpu/attend.inc"

}  // namespace

const Kernels& kernels() {
  return table;
}

}  // namespace bitreel::cpu_avx_vnni
