// Work in pieces for cores that need not be equally fast: others' programs may be on their second thread, or some are
// made slower. A thread begins with its part, as at::parallel_for would give it one, and then takes of what is left of
// the others'. Which thread does a piece must not matter.
//
//   share_out(0, blocks, grain, [&](const auto& next) {  // on each thread
//     std::vector<float> memory(1024);
//     while (const std::optional<std::int64_t> block = next()) work_on(*block, memory);
//   });
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

namespace bitreel::cpu {

// Pieces [begin, end), at least `grain` of them for each thread that is used.
template <class Work>
void share_out(std::int64_t begin, std::int64_t end, std::int64_t grain, const Work& work) {
  if (begin >= end) return;
  struct alignas(64) Part {
    std::atomic<std::int64_t> next;
    std::int64_t end;
  };
  const std::int64_t pieces = end - begin;
  const std::int64_t threads = std::min<std::int64_t>(at::get_num_threads(), (pieces + grain - 1) / grain);
  std::vector<Part> parts(static_cast<std::size_t>(threads));
  for (std::int64_t t = 0; t < threads; ++t) {
    Part& part = parts[static_cast<std::size_t>(t)];
    part.next = begin + pieces * t / threads;
    part.end = begin + pieces * (t + 1) / threads;
  }
  at::parallel_for(0, threads, 1, [&](std::int64_t own, std::int64_t) {
    std::int64_t left = threads;
    work([&]() -> std::optional<std::int64_t> {
      for (; left > 0; --left) {
        Part& part = parts[static_cast<std::size_t>((own + threads - left) % threads)];
        const std::int64_t piece = part.next.fetch_add(1, std::memory_order_relaxed);
        if (piece < part.end) return piece;
      }
      return std::nullopt;
    });
  });
}

}  // namespace bitreel::cpu
