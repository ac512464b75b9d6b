#include "attention/cpu/flash.h"
#include "attention/cpu/flash_block.h"
#include "attention/cpu/lanes_avx512.h"

namespace bitreel::cpu_flash_avx512 {
namespace {

struct Unit;  // of this file alone: what is made for it is too
using L = cpu::Avx512Lanes<Unit>;
struct Panel {
  static constexpr std::int64_t rows = 8, vectors = 2;
};

}  // namespace

const cpu::FlashKernels& kernels() {
  return cpu::FlashKernelsOf<L, Panel>::table;
}

}  // namespace bitreel::cpu_flash_avx512
