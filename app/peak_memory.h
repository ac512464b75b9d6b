// The most memory that a stretch of work held, on the host and on the GPU.
//
//   const PeakMemory peak(device);          // from here on
//   peak.host_bytes();                      // resident, mapped weight files included
//   peak.device_bytes();                    // of LibTorch's allocator; 0 on a CPU
//
// Where the kernel doesn't let the host's high-water mark be set back, it is that of the process.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>

namespace bitreel {

class PeakMemory {
 public:
  explicit PeakMemory(c10::Device device);

  [[nodiscard]] static std::int64_t host_bytes();
  [[nodiscard]] std::int64_t device_bytes() const;

 private:
  c10::Device device_;
};

}  // namespace bitreel
