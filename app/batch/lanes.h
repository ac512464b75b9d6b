// How many clips of a model are made at once, and how: side by side, a lane each, or in one batch of the transformer.
//
//   const LanesNeed need{.jobs = 16, .weight_bytes = weights, .activation_bytes = activations};
//   const Lanes lanes = choose_lanes(*model, need, {});   // groups of lanes.batch_size clips
//   on_lanes(lanes.count, groups.size(), [&](std::size_t i) { render(groups[i]); });
//
// On a CPU clips side by side, as many as there are threads, share the cores without waiting for each other; one batch
// of several clips is no faster there. On a GPU clips share batches, which fill it, and of two lanes one decodes and
// encodes while the other denoises. Either only as far as memory allows, and only for models whose phases may run at
// once (PipelineTraits::concurrent); what a person asks for is done and, where memory is short, remarked on.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

#include "pipelines/model/pipeline.h"

namespace bitreel {

struct Lanes {
  std::size_t count = 1;
  std::size_t batch_size = 1;  // clips in one transformer batch, at most
  double bytes = 0;            // of memory, at most: all weights and every clip's activations
  std::string remark = {};     // what a person should know of the choice; mostly nothing
};

// "auto" where empty.
struct LanesAsked {
  std::optional<std::size_t> count = {};
  std::optional<std::size_t> batch_size = {};
};

// What a model's clips ask for.
struct LanesNeed {
  std::size_t jobs = 0;
  double weight_bytes = 0;      // of all phases
  double activation_bytes = 0;  // of the largest phase of the largest clip
};

Lanes choose_lanes(const Pipeline& model, const LanesNeed& need, const LanesAsked& asked);

// "2 side by side", "in batches of 8, 2 side by side"; empty for one after the other.
std::string text_of(const Lanes& lanes);

// work(0) to work(count - 1), begun in this order, by threads that share this one's cores out evenly. Once one throws
// no more are begun; when all have ended, what was thrown first is thrown here.
void on_lanes(std::size_t lanes, std::size_t count, const std::function<void(std::size_t)>& work);

}  // namespace bitreel
