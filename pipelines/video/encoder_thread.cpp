#include "pipelines/video/encoder_thread.h"

#include <utility>

namespace bitreel {

EncoderThread::EncoderThread(std::function<void(const Frame&)> encode)
    : encode_(std::move(encode)), thread_([this] { run(); }) {}

EncoderThread::~EncoderThread() {
  {
    const std::lock_guard lock(mutex_);
    queue_.clear();
  }
  join();
}

void EncoderThread::push(const Frame& frame) {
  const auto bytes = static_cast<std::ptrdiff_t>(3) * frame.width * frame.height;
  Copy copy{.rgb = {frame.rgb, frame.rgb + bytes}, .width = frame.width, .height = frame.height};
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return queue_.size() < most_queued || failure_; });
  if (failure_) std::rethrow_exception(failure_);
  queue_.push_back(std::move(copy));
  changed_.notify_all();
}

void EncoderThread::finish() {
  join();
  if (failure_) std::rethrow_exception(failure_);
}

void EncoderThread::join() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void EncoderThread::run() {
  for (;;) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !queue_.empty() || ends_; });
    if (queue_.empty()) return;
    const Copy frame = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    changed_.notify_all();
    try {
      encode_({.rgb = frame.rgb.data(), .width = frame.width, .height = frame.height});
    } catch (...) {
      lock.lock();
      failure_ = std::current_exception();
      queue_.clear();
      changed_.notify_all();
      return;
    }
  }
}

}  // namespace bitreel
