// Where a model's time goes: stretches of its work have names, and whoever listens learns what each took.
//
//   WorkClock clock(at::kCPU);
//   {
//     const WorkClock::Listening listening(clock);   // on this thread
//     model->decode(request, latents, sink);
//   }
//   clock.seconds();                                 // {"convolution": 1.31, "norm": 0.42, ...}, sums over all calls
//
//   const at::Tensor y = timed("attention", [&] { return attend(q, k, v); });   // in a model
//
// It costs one load when nobody listens. Wall clock on a CPU; on a GPU the time between two events on its current
// stream, so the host does not wait. Stretches do not nest: one inside another would be counted twice. Names are those
// of Cost's works (pipelines/model/cost.h).
#pragma once

#include <c10/core/Device.h>
#include <c10/core/Event.h>

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/wall_clock.h"

namespace bitreel {

class WorkClock {
 public:
  explicit WorkClock(c10::Device device) : device_(device) {}

  // The calling thread's stretches go to this clock while it lives.
  class Listening {
   public:
    explicit Listening(WorkClock& clock);
    ~Listening();
    Listening(const Listening&) = delete;
    Listening& operator=(const Listening&) = delete;

   private:
    WorkClock* before_;
  };

  // Whether the calling thread's stretches go to a clock.
  [[nodiscard]] static bool is_heard();

  // Waits for the device where events are still to come.
  [[nodiscard]] std::map<std::string, double> seconds() const;

 private:
  friend class Timed;
  struct Stretch {
    c10::Event before, after;
  };

  c10::Device device_;
  std::map<std::string, double> wall_;
  std::vector<std::pair<std::string, Stretch>> on_device_;
};

class Timed {
 public:
  explicit Timed(const char* name);
  ~Timed();
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;

 private:
  WorkClock* clock_;
  const char* name_;
  WallClock::time_point begun_;  // on a CPU
  std::size_t index_ = 0;        // of its events on a device
};

// What work() returns, timed.
template <class Work>
auto timed(const char* name, const Work& work) {
  const Timed until_done(name);
  return work();
}

}  // namespace bitreel
