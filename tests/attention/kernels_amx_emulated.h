// The code of cpu-amx over emulated tiles and scalar lanes, so that machines without AMX test it too.
//
//   run_kernels(cpu_amx_emulated::kernels(), call);   // the bits of cpu-scalar
#pragma once

#include "attention/cpu/kernels.h"

namespace bitreel::cpu_amx_emulated {
const cpu::Kernels& kernels();
}
