#include "tests/attention/cuda/cuda_on_host.h"

#include <ucontext.h>

#include <memory>
#include <vector>

namespace bitreel::cuda_on_host {
namespace {

constexpr std::size_t stack_bytes = std::size_t{1} << 16;

// Threads that wait for each other.
struct Meeting {
  unsigned expected = 0, arrived = 0, over = 0;
};

struct Thread {
  ucontext_t context;
  std::unique_ptr<char[]> stack = std::make_unique_for_overwrite<char[]>(stack_bytes);
  unsigned exchanges = 0;
  bool done = false;
};

// The block that runs. Threads take turns in their order.
struct Block {
  ucontext_t outside;
  std::vector<Thread> threads;
  unsigned running = 0, left = 0;
  Meeting all;
  std::vector<Meeting> warps;
  std::vector<std::uint64_t> boxes[2];
  const std::function<void()>* body = nullptr;
};

Block block;

Thread& running() {
  return block.threads[block.running];
}

void switch_from(ucontext_t& here) {
  do block.running = (block.running + 1) % block.threads.size();
  while (running().done);
  threadIdx = {block.running, 0, 0};
  if (&running().context != &here) swapcontext(&here, &running().context);
}

void run_thread() {
  (*block.body)();
  running().done = true;
  if (--block.left == 0) setcontext(&block.outside);
  switch_from(running().context);
}

void meet(Meeting& meeting) {
  const unsigned over = meeting.over;
  if (++meeting.arrived == meeting.expected) {
    meeting.arrived = 0;
    ++meeting.over;
    return;
  }
  while (meeting.over == over) switch_from(running().context);
}

}  // namespace

void run_grid(dim3 grid, int threads, const std::function<void()>& body) {
  const auto count = static_cast<unsigned>(threads);
  gridDim = grid;
  blockDim = dim3(count);
  block.body = &body;
  if (block.threads.size() != count) block.threads = std::vector<Thread>(count);
  block.all = {.expected = count};
  block.warps.assign(count / 32, {.expected = 32});
  for (auto& boxes : block.boxes) boxes.assign(count, 0);
  for (blockIdx.z = 0; blockIdx.z < grid.z; ++blockIdx.z) {
    for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y) {
      for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x) {
        for (Thread& thread : block.threads) {
          getcontext(&thread.context);
          thread.context.uc_stack.ss_sp = thread.stack.get();
          thread.context.uc_stack.ss_size = stack_bytes;
          thread.context.uc_link = nullptr;
          makecontext(&thread.context, run_thread, 0);
          thread.exchanges = 0;
          thread.done = false;
        }
        block.left = count;
        block.running = count - 1;
        switch_from(block.outside);
      }
    }
  }
}

void meet_block() {
  meet(block.all);
}

void meet_warp() {
  meet(block.warps[block.running / 32]);
}

std::uint64_t& box_of(unsigned thread) {
  return block.boxes[running().exchanges % 2][thread];
}

void next_boxes() {
  ++running().exchanges;
}

}  // namespace bitreel::cuda_on_host
