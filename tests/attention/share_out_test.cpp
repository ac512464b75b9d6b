#include "attention/cpu/share_out.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <thread>
#include <vector>

#include "tests/attention/threads.h"

namespace bitreel::cpu {
namespace {

using testing::Each;

std::vector<int> times_done(std::int64_t begin, std::int64_t end, std::int64_t grain) {
  std::vector<std::atomic<int>> done(static_cast<std::size_t>(end));
  share_out(begin, end, grain, [&](const auto& next) {
    while (const std::optional<std::int64_t> piece = next()) ++done[static_cast<std::size_t>(*piece)];
  });
  return {done.begin() + begin, done.end()};
}

TEST(ShareOut, DoesEachPieceOnce) {
  for (const int threads : {1, 2, 5}) {
    const Threads set(threads);
    for (const std::int64_t pieces : {0, 1, 4, 5, 63}) {
      for (const std::int64_t grain : {1, 3, 100}) {
        EXPECT_THAT(times_done(7, 7 + pieces, grain), Each(1)) << threads << " threads, " << pieces << " pieces";
      }
    }
  }
}

TEST(ShareOut, DoesEachPieceOnceInsideOfAnother) {
  const Threads set(3);
  at::parallel_for(0, 3, 1, [](std::int64_t, std::int64_t) { EXPECT_THAT(times_done(0, 10, 1), Each(1)); });
}

TEST(ShareOut, TakesOverWhatSlowThreadsLeave) {
  const Threads set(2);
  std::atomic<int> by_slow = 0, by_fast = 0;
  share_out(0, 20, 1, [&](const auto& next) {
    while (const std::optional<std::int64_t> piece = next()) {
      if (at::get_thread_num() != 0) {
        ++by_fast;
        continue;
      }
      ++by_slow;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  EXPECT_EQ(by_slow + by_fast, 20);
  EXPECT_LT(by_slow, 10);  // its part were ten
}

}  // namespace
}  // namespace bitreel::cpu
