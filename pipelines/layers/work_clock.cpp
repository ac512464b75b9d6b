#include "pipelines/layers/work_clock.h"

#include <c10/core/impl/VirtualGuardImpl.h>

namespace bitreel {
namespace {

thread_local WorkClock* listener = nullptr;

c10::Event recorded_now(c10::Device device) {
  c10::Event event(device.type(), c10::EventFlag::BACKEND_DEFAULT);
  event.record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
  return event;
}

}  // namespace

WorkClock::Listening::Listening(WorkClock& clock) : before_(std::exchange(listener, &clock)) {}

WorkClock::Listening::~Listening() {
  listener = before_;
}

bool WorkClock::is_heard() {
  return listener != nullptr;
}

std::map<std::string, double> WorkClock::seconds() const {
  std::map<std::string, double> seconds = wall_;
  for (const auto& [name, stretch] : on_device_) {
    stretch.after.synchronize();
    seconds[name] += stretch.before.elapsedTime(stretch.after) * 1e-3;
  }
  return seconds;
}

Timed::Timed(const char* name) : clock_(listener), name_(name) {
  if (clock_ == nullptr) return;
  if (clock_->device_.is_cpu()) {
    begun_ = WallClock::now();
    return;
  }
  c10::Event before = recorded_now(clock_->device_);
  clock_->on_device_.emplace_back(
      name, WorkClock::Stretch{std::move(before), c10::Event(clock_->device_.type(), c10::EventFlag::BACKEND_DEFAULT)});
  index_ = clock_->on_device_.size() - 1;
}

Timed::~Timed() {
  if (clock_ == nullptr) return;
  if (clock_->device_.is_cpu()) {
    clock_->wall_[name_] += seconds_since(begun_);
    return;
  }
  clock_->on_device_[index_].second.after = recorded_now(clock_->device_);
}

}  // namespace bitreel
