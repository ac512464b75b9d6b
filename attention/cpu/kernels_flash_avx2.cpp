#include "attention/cpu/flash.h"
#include "attention/cpu/flash_block.h"
#include "attention/cpu/lanes_avx2.h"

namespace bitreel::cpu_flash_avx2 {
namespace {

struct Unit;  // of this file alone: what is made for it is too
using L = cpu::Avx2Lanes<Unit>;
struct Panel {
  static constexpr std::int64_t rows = 4, vectors = 1;
};

}  // namespace

const cpu::FlashKernels& kernels() {
  return cpu::FlashKernelsOf<L, Panel>::table;
}

}  // namespace bitreel::cpu_flash_avx2
