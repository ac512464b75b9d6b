#include <immintrin.h>

#include "attention/cpu/flash.h"

namespace bitreel::cpu_flash_avx2 {
namespace {

using namespace cpu;
#include "attention/cpu/elements.inc"
#include "attention/cpu/lanes_avx2.inc"

#include "attention/cpu/pack.inc"

#include "attention/cpu/softmax.inc"

constexpr std::int64_t panel_rows = 4, panel_vectors = 1;
#include "attention/cpu/flash.inc"

}  // namespace

const FlashKernels& kernels() {
  return flash_table;
}

}  // namespace bitreel::cpu_flash_avx2
