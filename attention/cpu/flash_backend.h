// Full precision on the CPU in fp32 registers, for x86 with AVX-512 or AVX2; fp32, fp16 and bf16 inputs.
//
//   const Backend& backend = flash_backends().front();   // cpu-flash
//
// Gives the same bits whatever the number of threads. The two instruction sets differ in nothing but how much they do
// at a time, and agree in every bit as well.
#pragma once

#include "attention/backends.h"

namespace bitreel {

namespace cpu {
struct FlashKernels;
}

// A call that cpu-flash doesn't refuse, with either kernels of cpu/flash.h.
void run_flash(const cpu::FlashKernels& kernels, const AttendCall& call);

}  // namespace bitreel
