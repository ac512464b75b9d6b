// The integer kernels for x86 and Arm: recipes with INT8 P V, in every instruction set worth having, AMX to scalar.
//
//   const Backend& plain = cpu_backends().back();   // of cpu-amx, cpu-avx512-vnni, cpu-avx-vnni, cpu-avx2, cpu-scalar
//
// All give the same bits, whatever the number of threads.
#pragma once

#include "attention/backends.h"

namespace bitreel {

namespace cpu {
struct Kernels;
}

// A call that cpu_backends() don't refuse, with any kernels of cpu/kernels.h.
void run_kernels(const cpu::Kernels& kernels, const AttendCall& call);

}  // namespace bitreel
