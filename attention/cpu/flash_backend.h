// Full precision on the CPU in fp32 registers, for x86 with AVX-512 or AVX2; fp32, fp16 and bf16 inputs.
//
//   const Backend& backend = flash_backend();   // cpu-flash
//
// Gives the same bits whatever the number of threads. The two instruction sets differ in nothing but how much they do
// at a time, and agree in every bit as well.
#pragma once

#include "attention/backend.h"

namespace bitreel {

namespace cpu {
struct FlashKernels;
}

const Backend& flash_backend();

// A call that flash_backend() doesn't refuse, with either kernels of cpu/flash.h.
void run_flash(const cpu::FlashKernels& kernels, const AttendCall& call);

}  // namespace bitreel
