// The memory that a run can have on its device.
//
//   const MachineMemory memory = machine_memory(render.model->options().device);
//   const double share = memory.available / memory.total;
//
// On a CPU: RAM and swap as Linux counts them, or less where a control group (a container, a batch job) allows less.
// On a GPU: its own, or less where the process has a limit (device.h); what LibTorch's allocator keeps without using is
// available. In bytes.
#pragma once

#include <c10/core/Device.h>

namespace bitreel {

struct MachineMemory {
  double total = 0;
  double available = 0;     // without pushing other programs out
  bool is_limited = false;  // by `gpu_memory_limit`
};

MachineMemory machine_memory(const c10::Device& device);

}  // namespace bitreel
