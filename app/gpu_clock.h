// How long work takes on a GPU, and how fast the GPU runs meanwhile: timings without its clock can't be compared.
//
//   GpuClock clock(device);
//   const GpuTiming timing = clock.time([&] { out = attend(q, k, v, options); });
#pragma once

#include <c10/core/Device.h>

#include <functional>
#include <string>

namespace bitreel {

struct GpuTiming {
  double seconds;  // of the GPU alone, from caches that hold no input: between events on the current stream
  double sm_ghz;   // read while it runs (NVML); 0 when the driver doesn't say
};

class GpuClock {
 public:
  explicit GpuClock(c10::Device device);

  [[nodiscard]] GpuTiming time(const std::function<void()>& work) const;
  [[nodiscard]] double sm_ghz() const;                                 // now; 0 when the driver doesn't say
  [[nodiscard]] const std::string& driver() const { return driver_; }  // "580.159.04", or empty

 private:
  c10::Device device_;
  void* nvml_device_ = nullptr;
  std::string driver_;
};

}  // namespace bitreel
