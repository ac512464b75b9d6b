// For clocks: a GPU's calls return before they are done.
//
//   wait_for(q.device());        // all that was begun there is done; nothing to wait for on a CPU
#pragma once

#include <c10/core/Device.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace bitreel {

inline void wait_for(const c10::Device& device) {
  if (!device.is_cpu()) c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
}

}  // namespace bitreel
