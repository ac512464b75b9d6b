// Frames are encoded on a thread of their own while the next ones are decoded.
//
//   EncoderThread encoder([&](const Frame& frame) { video.push(frame); });
//   encoder.push(frame);     // copies it; waits while the queue is full
//   encoder.finish();        // waits until all are encoded
//
// Frames are encoded in the order in which they come, so files are the same, byte for byte, as without a thread. What
// encoding throws, the next push() or finish() throws again; frames behind it are dropped, as they are when the object
// goes without finish().
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "pipelines/video/frame.h"

namespace bitreel {

class EncoderThread {
 public:
  // Twice what a decoder hands over at once: one batch is encoded while the next is decoded.
  static constexpr std::size_t most_queued = 16;

  explicit EncoderThread(std::function<void(const Frame&)> encode);
  ~EncoderThread();
  EncoderThread(const EncoderThread&) = delete;
  EncoderThread& operator=(const EncoderThread&) = delete;

  void push(const Frame& frame);
  void finish();

 private:
  struct Copy {
    std::vector<std::uint8_t> rgb;
    int width, height;
  };

  void run();
  void join();  // once the queue is empty

  std::function<void(const Frame&)> encode_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Copy> queue_;
  bool ends_ = false;
  std::exception_ptr failure_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace bitreel
