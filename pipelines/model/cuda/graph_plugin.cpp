#include "pipelines/model/cuda/graph_plugin.h"

#include <ATen/ATen.h>
#include <ATen/core/CachingHostAllocator.h>
#include <ATen/cuda/CUDAGraph.h>

#include <exception>
#include <memory>
#include <mutex>

namespace bitreel::cuda {
namespace {

// LibTorch's random generator keeps a list of graphs and a flag that one is being captured, for all threads together.
std::mutex one_changes_them;

// What has begun and gone wrong may leave LibTorch's allocators serving it: its own end of it stops at the first error.
void abandon(at::cuda::CUDAGraph& graph, c10::DeviceIndex device, c10::MempoolId_t pool) {
  const auto unless_done = [](const auto& step) {
    try {
      step();
    } catch (const std::exception&) {
    }
  };
  unless_done([&] { graph.capture_end(); });
  unless_done([&] {
    c10::cuda::CUDACachingAllocator::endAllocateToPool(device, pool);
    c10::cuda::CUDACachingAllocator::releasePool(device, pool);
  });
  unless_done([&] {
    at::getHostAllocator(at::kCUDA)->end_allocate_to_pool(pool);
    at::getHostAllocator(at::kCUDA)->release_pool(pool);
  });
  // Its generator stays as if within the capture until one of anything has ended well.
  unless_done([&] {
    const at::Tensor anything = at::empty({1}, at::TensorOptions(at::kCUDA));
    at::cuda::CUDAGraph well;
    well.capture_begin(at::cuda::graph_pool_handle(), cudaStreamCaptureModeThreadLocal);
    anything.zero_();
    well.capture_end();
  });
}

void* capture(const std::function<void()>& launch, void* shares_memory_with) {
  const std::lock_guard alone(one_changes_them);
  auto graph = std::make_unique<at::cuda::CUDAGraph>();
  const c10::MempoolId_t pool = shares_memory_with == nullptr
                                    ? at::cuda::graph_pool_handle()
                                    : static_cast<at::cuda::CUDAGraph*>(shares_memory_with)->pool();
  const c10::DeviceIndex device = c10::cuda::getCurrentCUDAStream().device_index();
  try {
    graph->capture_begin(pool, cudaStreamCaptureModeThreadLocal);  // other threads work on as they like
    launch();
    graph->capture_end();
  } catch (...) {
    abandon(*graph, device, pool);
    throw;
  }
  return graph.release();
}

void play(void* graph) {
  static_cast<at::cuda::CUDAGraph*>(graph)->replay();
}

void release(void* graph) {
  const std::lock_guard alone(one_changes_them);
  delete static_cast<at::cuda::CUDAGraph*>(graph);
}

constexpr GraphPlugin table = {graph_version, capture, play, release};

}  // namespace
}  // namespace bitreel::cuda

extern "C" __attribute__((visibility("default"))) const bitreel::cuda::GraphPlugin* bitreel_cuda_graphs(
    std::int64_t version) {
  return version == bitreel::cuda::graph_version ? &bitreel::cuda::table : nullptr;
}
