#include "app/gpu_clock.h"

#include <ATen/Functions.h>
#include <c10/core/Event.h>
#include <dlfcn.h>

#include <array>

namespace bitreel {
namespace {

// The driver's own library, by name: it is there where a driver is.
template <class Function>
Function* nvml(const char* name) {
  static void* const library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
  return library == nullptr ? nullptr : reinterpret_cast<Function*>(dlsym(library, name));
}

}  // namespace

GpuClock::GpuClock(c10::Device device) : device_(device) {
  auto* const initialize = nvml<int()>("nvmlInit_v2");
  auto* const by_index = nvml<int(unsigned, void**)>("nvmlDeviceGetHandleByIndex_v2");
  auto* const version = nvml<int(char*, unsigned)>("nvmlSystemGetDriverVersion");
  if (initialize == nullptr || by_index == nullptr || version == nullptr || initialize() != 0) return;
  if (by_index(static_cast<unsigned>(device.index()), &nvml_device_) != 0) nvml_device_ = nullptr;
  std::array<char, 96> text{};
  if (version(text.data(), text.size()) == 0) driver_ = text.data();
}

double GpuClock::sm_ghz() const {
  auto* const clock_info = nvml<int(void*, int, unsigned*)>("nvmlDeviceGetClockInfo");
  constexpr int of_multiprocessors = 1;
  unsigned mhz = 0;
  if (nvml_device_ == nullptr || clock_info == nullptr || clock_info(nvml_device_, of_multiprocessors, &mhz) != 0)
    return 0;
  return mhz / 1e3;
}

GpuTiming GpuClock::time(const std::function<void()>& work) const {
  const c10::Stream stream = c10::impl::VirtualGuardImpl(device_.type()).getStream(device_);
  c10::Event before(device_.type(), c10::EventFlag::BACKEND_DEFAULT),
      after(device_.type(), c10::EventFlag::BACKEND_DEFAULT);
  // Keeps the GPU busy for half a millisecond, in which the host gets ahead: its launches are not what is timed.
  at::Tensor other = at::empty({256 << 20}, at::TensorOptions(device_).dtype(at::kByte));
  for (int i = 0; i < 8; ++i) other.zero_();
  before.record(stream);
  work();
  after.record(stream);
  before.synchronize();           // no longer busy with the other
  const double clock = sm_ghz();  // while the GPU works
  after.synchronize();
  return {.seconds = before.elapsedTime(after) * 1e-3, .sm_ghz = clock};
}

}  // namespace bitreel
