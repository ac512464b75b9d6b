#include "app/batch/lanes.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "app/batch/model_pool.h"
#include "app/console.h"

namespace bitreel {
namespace {

// Of a GPU, when nobody says: enough rows to fill it at the default model's size, little memory at a large model's.
constexpr std::size_t clips_in_a_batch = 8;
constexpr std::size_t lanes_of_a_gpu = 2;

std::size_t threads() {
  return static_cast<std::size_t>(std::max(at::get_num_threads(), 1));
}

std::size_t parts(std::size_t whole, std::size_t size) {
  return (whole + size - 1) / size;
}

}  // namespace

Lanes choose_lanes(const Pipeline& model, const LanesNeed& need, const LanesAsked& asked) {
  const at::Device device = model.options().device;
  const double room = usable_bytes(device);
  const auto bytes = [&](std::size_t count, std::size_t batch) {
    return need.weight_bytes + static_cast<double>(count * batch) * need.activation_bytes;
  };
  const std::size_t jobs = std::max<std::size_t>(need.jobs, 1);
  Lanes lanes;
  if (!model.traits().concurrent) {
    if (asked.count.value_or(1) > 1)
      lanes.remark = fmt::format("a {} makes one clip at a time", model.checkpoint().pipeline_class());
  } else if (asked.count) {
    lanes.count = *asked.count;
  } else {
    lanes.count = std::min(device.is_cuda() ? lanes_of_a_gpu : threads(), jobs);
  }
  lanes.batch_size = asked.batch_size.value_or(
      device.is_cuda() ? std::min(clips_in_a_batch, parts(jobs, std::max<std::size_t>(lanes.count, 1))) : 1);
  while (!asked.batch_size && lanes.batch_size > 1 && bytes(1, lanes.batch_size) > room) --lanes.batch_size;
  while (!asked.count && lanes.count > 1 && bytes(lanes.count, lanes.batch_size) > room) --lanes.count;
  lanes.batch_size = std::min(lanes.batch_size, jobs);
  lanes.count = std::min(lanes.count, parts(jobs, lanes.batch_size));
  lanes.bytes = bytes(lanes.count, lanes.batch_size);
  if (lanes.remark.empty() && lanes.count * lanes.batch_size > 1 && lanes.bytes > room) {
    lanes.remark = fmt::format("{} clips at once may take {}, of {} that can be had", lanes.count * lanes.batch_size,
                               bytes_text(lanes.bytes), bytes_text(room));
  }
  return lanes;
}

std::string text_of(const Lanes& lanes) {
  std::string beside = lanes.count > 1 ? fmt::format("{} side by side", lanes.count) : "";
  if (lanes.batch_size == 1) return beside;
  return fmt::format("in batches of {}{}", lanes.batch_size, beside.empty() ? "" : ", " + beside);
}

void on_lanes(std::size_t lanes, std::size_t count, const std::function<void(std::size_t)>& work) {
  if (lanes <= 1) {
    for (std::size_t i = 0; i < count; ++i) work(i);
    return;
  }
  std::atomic<std::size_t> next = 0;
  std::atomic<bool> ended = false;
  std::exception_ptr first;
  std::mutex of_first;
  const std::size_t all = threads();
  const auto lane = [&](std::size_t number) {
    at::set_num_threads(static_cast<int>(std::max<std::size_t>(all / lanes + (number < all % lanes ? 1 : 0), 1)));
    try {
      while (!ended) {
        const std::size_t i = next++;
        if (i >= count) return;
        work(i);
      }
    } catch (...) {
      ended = true;
      const std::lock_guard lock(of_first);
      if (!first) first = std::current_exception();
    }
  };
  std::vector<std::jthread> running;
  for (std::size_t number = 0; number < lanes; ++number) running.emplace_back(lane, number);
  running.clear();
  if (first) std::rethrow_exception(first);
}

}  // namespace bitreel
