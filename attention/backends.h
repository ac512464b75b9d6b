// Who implements attention: a line for each file or folder that has backends, which names its function. Of backends
// that a call prefers alike, the earlier goes first.
//
//   flash_backends().front().name;   // "cpu-flash"
//
// A line declares what its file or folder defines, here attention/cpu/flash_backend.cpp; backend.h says what a Backend
// has to be. Everybody but tests asks registry.h for them.
#pragma once

#include <span>

#include "attention/backend.h"

// clang-format off
#define BITREEL_ATTENTION_BACKENDS(row) \
  row(flash_backends)                   \
  row(sdpa_backends)                    \
  row(cuda_backends)                    \
  row(cpu_backends)                     \
  row(reference_backends)               \
  row(emulated_backends)
// clang-format on

namespace bitreel {

#define BITREEL_DECLARE(backends) std::span<const Backend> backends();
BITREEL_ATTENTION_BACKENDS(BITREEL_DECLARE)
#undef BITREEL_DECLARE

}  // namespace bitreel
