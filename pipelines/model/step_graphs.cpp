#include "pipelines/model/step_graphs.h"

#include <ATen/ATen.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <map>
#include <utility>

#include "attention/cuda/load_plugin.h"
#include "pipelines/layers/work_clock.h"
#include "pipelines/model/cuda/graph_plugin.h"

namespace bitreel {
namespace {

const cuda::GraphPlugin* graph_plugin() {
  static const auto* const plugin = cuda::plugin_table<cuda::GraphPlugin>(cuda::graph_entry, cuda::graph_version);
  return plugin;
}

// One for each thread that denoises, whatever it denoises next: libraries keep workspaces for every stream that they
// have seen.
c10::Stream own_stream(c10::Device device) {
  thread_local std::map<c10::DeviceIndex, c10::Stream> streams;
  const c10::impl::VirtualGuardImpl guard(device.type());
  const c10::DeviceIndex index = guard.getStream(device).device_index();
  const auto known = streams.find(index);
  return known != streams.end() ? known->second
                                : streams.emplace(index, guard.getStreamFromGlobalPool(device)).first->second;
}

void wait_on(const c10::Stream& waiting, const c10::Stream& working) {
  c10::Event done(working.device_type(), c10::EventFlag::BACKEND_DEFAULT);
  done.record(working);
  done.block(waiting);
}

std::string first_line(const char* text) {
  const std::string whole = text;
  return whole.substr(0, whole.find('\n'));
}

}  // namespace

std::string why_no_graphs(const RunOptions& options) {
  if (options.device.is_cpu()) return "the device is a CPU";
  if (options.graphs == CudaGraphs::off) return "they are switched off";
  if (options.offload == Offload::layers) return "layers come from host memory while others compute";
  if (std::string missing = cuda::missing_plugin(); !missing.empty()) return missing;
  return graph_plugin() == nullptr ? "libbitreel_cuda.so was built without LibTorch's headers for CUDA" : "";
}

struct StepGraphs::Recording {
  // A key's: launched once before it is recorded.
  struct Recorded {
    at::Tensor result;  // in the graph's memory
    std::shared_ptr<void> graph;
  };

  Recording(c10::Device device, std::function<void(const std::string&)> remark)
      : before(c10::impl::VirtualGuardImpl(device.type()).getStream(device)),
        own(own_stream(device)),
        guard(own),
        on_remark(std::move(remark)) {
    wait_on(own, before);
  }
  ~Recording() {
    try {
      wait_on(before, own);
    } catch (const std::exception&) {  // the device has failed: what it was asked first has said so
    }
  }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  void record(Recorded& recorded, const std::vector<at::Tensor>& given, const Step& step) {
    if (inputs.empty()) {
      for (const at::Tensor& x : given) inputs.push_back(at::empty_like(x, at::MemoryFormat::Contiguous));
    }
    return_memory();  // what launched steps have left would be held beside the recording's own
    void* shared = nullptr;
    for (const auto& [key, other] : by_key) {
      if (other.graph) shared = other.graph.get();
    }
    recorded.graph = {graph_plugin()->capture([&] { recorded.result = step(inputs); }, shared),
                      graph_plugin()->release};
  }

  void return_memory() const { c10::getDeviceAllocator(own.device_type())->emptyCache(); }
  [[nodiscard]] bool holds_memory() const {
    return std::ranges::any_of(by_key, [](const auto& entry) { return entry.second.graph != nullptr; });
  }

  c10::Stream before, own;
  c10::StreamGuard guard;
  std::function<void(const std::string&)> on_remark;
  std::vector<at::Tensor> inputs;  // where recordings read
  std::map<std::string, Recorded> by_key;
  bool refused = false;
};

StepGraphs::StepGraphs(const RunOptions& options, std::function<void(const std::string&)> on_remark) {
  if (why_no_graphs(options).empty()) recording_ = std::make_unique<Recording>(options.device, std::move(on_remark));
}

StepGraphs::~StepGraphs() = default;

void StepGraphs::forget() {
  if (!recording_) return;
  recording_->by_key.clear();
  recording_->inputs.clear();
}

void StepGraphs::refuse(const std::string& why) {
  recording_->refused = true;
  forget();
  recording_->return_memory();
  if (recording_->on_remark) recording_->on_remark("steps are launched kernel by kernel: " + why);
}

at::Tensor StepGraphs::launched(const std::vector<at::Tensor>& inputs, const Step& step) {
  try {
    return step(inputs);
  } catch (const c10::OutOfMemoryError&) {
    if (!recording_ || !recording_->holds_memory()) throw;
  }
  refuse("there is too little memory for recorded ones beside them");
  return step(inputs);
}

at::Tensor StepGraphs::run(const LayerAttention& attention, const std::vector<at::Tensor>& inputs, const Step& step) {
  if (!recording_ || recording_->refused || !attention.repeats || WorkClock::is_heard()) return launched(inputs, step);
  Recording& recording = *recording_;
  const auto [found, is_first] = recording.by_key.try_emplace(*attention.repeats);
  if (is_first) return launched(inputs, step);
  Recording::Recorded& recorded = found->second;
  if (recorded.graph) {
    attention.repeated();
  } else {
    try {
      recording.record(recorded, inputs, step);
    } catch (const std::exception& e) {
      refuse(fmt::format("one can't be recorded ({})", first_line(e.what())));
      return step(inputs);
    }
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) recording.inputs[i].copy_(inputs[i]);
  graph_plugin()->play(recorded.graph.get());
  return recorded.result.clone();  // the next recording that is played writes there
}

}  // namespace bitreel
