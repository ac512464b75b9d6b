// Encoding on a thread: order, waiting, errors, and leaving early.
#include "pipelines/video/encoder_thread.h"

#include <gmock/gmock.h>

#include <array>
#include <atomic>
#include <chrono>
#include <future>

#include "tests/error_text.h"

namespace bitreel {
namespace {

// A picture of one pixel whose red is its number.
class Numbered {
 public:
  Frame frame(std::uint8_t number) {
    rgb_[0] = number;
    return {.rgb = rgb_.data(), .width = 1, .height = 1};
  }

 private:
  std::array<std::uint8_t, 3> rgb_{};
};

TEST(EncoderThread, EncodesEveryFrameInOrder) {
  std::vector<int> seen;
  EncoderThread encoder([&](const Frame& frame) { seen.push_back(frame.rgb[0]); });
  Numbered pictures;  // overwritten for every frame: the queue has copies
  std::vector<int> pushed;
  for (int i = 0; i < 100; ++i) {
    encoder.push(pictures.frame(static_cast<std::uint8_t>(i)));
    pushed.push_back(i);
  }
  encoder.finish();
  EXPECT_EQ(seen, pushed);
}

TEST(EncoderThread, HoldsTheDecoderUpWhenTheQueueIsFull) {
  std::promise<void> go_on;
  const std::shared_future<void> released = go_on.get_future().share();
  std::atomic<std::size_t> encoded = 0, pushed = 0;
  EncoderThread encoder([&](const Frame&) {
    released.wait();
    ++encoded;
  });
  std::thread decoder([&] {
    Numbered pictures;
    for (std::size_t i = 0; i < 2 * EncoderThread::most_queued; ++i) {
      encoder.push(pictures.frame(0));
      ++pushed;
    }
  });
  while (pushed < EncoderThread::most_queued) std::this_thread::yield();
  EXPECT_LE(pushed, EncoderThread::most_queued + 1) << "one more is being encoded";
  EXPECT_EQ(encoded, 0U);
  go_on.set_value();
  decoder.join();
  encoder.finish();
  EXPECT_EQ(encoded, 2 * EncoderThread::most_queued);
}

TEST(EncoderThread, PassesTheEncodersErrorOn) {
  for (const bool at_the_end : {false, true}) {
    EncoderThread encoder([](const Frame& frame) {
      if (frame.rgb[0] == 3) throw Error("disk full");
    });
    Numbered pictures;
    const auto push_all = [&] {
      for (int i = 0; i < (at_the_end ? 4 : 200); ++i) encoder.push(pictures.frame(static_cast<std::uint8_t>(i)));
      encoder.finish();
    };
    EXPECT_THAT(error_text(push_all), testing::HasSubstr("disk full"));
    EXPECT_THAT(error_text([&] { encoder.finish(); }), testing::HasSubstr("disk full")) << "and again";
  }
}

TEST(EncoderThread, DropsWhatIsQueuedWhenItGoes) {
  int encoded = 0;
  std::promise<void> begun;
  {
    EncoderThread encoder([&](const Frame&) {
      if (encoded++ == 0) begun.set_value();
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    });
    Numbered pictures;
    for (std::size_t i = 0; i < EncoderThread::most_queued; ++i) encoder.push(pictures.frame(0));
    begun.get_future().wait();
  }
  EXPECT_LT(encoded, 8) << "an interrupted run waits for the frame at work, not for the queue";
}

}  // namespace
}  // namespace bitreel
