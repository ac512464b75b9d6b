// Finds and loads libbitreel_cuda.so, the kernels for NVIDIA GPUs (attention/cuda/plugin.h).
//
//   const std::string missing = cuda::missing_plugin();   // why there are no kernels
//   const int capability = missing.empty() ? cuda::loaded_plugin().compute_capability() : 0;
//
// It lies beside the program, or in the folder above (tests), or where BITREEL_CUDA_PLUGIN points. It is looked for
// once LibTorch's CUDA library is in use (pipelines/model/device.h), which brings the libraries that it needs: until
// then it is missing, and asking again later may find it.
#pragma once

#include <cstdint>
#include <string>

#include "attention/cuda/plugin.h"

namespace bitreel::cuda {

// Why there is no plugin; empty when there is one.
std::string missing_plugin();

// Throws Error saying what is missing.
const Plugin& loaded_plugin();

// Another of its exported functions; null when there is none or no plugin.
void* plugin_symbol(const char* name);

// One of its other tables of functions; null when there is none, no plugin, or one built from other headers.
template <class Table>
const Table* plugin_table(const char* entry, std::int64_t version) {
  const auto table_of = reinterpret_cast<const Table* (*)(std::int64_t)>(plugin_symbol(entry));
  return table_of == nullptr ? nullptr : table_of(version);
}

}  // namespace bitreel::cuda
