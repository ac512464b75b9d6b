// What libbitreel_cuda.so offers for launches that are recorded once and played again: LibTorch's CUDA graphs, whose
// class is in its CUDA library, which the program does not link.
//
//   const auto* graphs = cuda::plugin_table<cuda::GraphPlugin>(cuda::graph_entry, cuda::graph_version);
//   void* const graph = graphs->capture(launch, nullptr);           // launch() has computed nothing
//   graphs->play(graph);                                            // now it has
//   graphs->release(graph);
//
// The only file of the plugin that knows LibTorch; without the headers of its CUDA library it is left out.
#pragma once

#include <cstdint>
#include <functional>

namespace bitreel::cuda {

struct GraphPlugin {
  std::int64_t version;
  // What `launch` launches on the current stream, which must not be the default one. Memory that it takes from LibTorch
  // is kept for the graph, or for both when it shares that of one captured before: then neither may be played while a
  // result of the other is wanted. Throws what `launch` throws, and c10::Error where something can't be captured; the
  // stream can be used as before then.
  void* (*capture)(const std::function<void()>& launch, void* shares_memory_with);
  void (*play)(void* graph);  // on the current stream
  void (*release)(void* graph);
};

inline constexpr std::int64_t graph_version = 1;
inline constexpr const char* graph_entry = "bitreel_cuda_graphs";

}  // namespace bitreel::cuda
