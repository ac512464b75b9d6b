// What texts become for a model, encoded once for all clips that say the same.
//
//   Embeddings embeddings;
//   const NamedTensors text = embeddings.of(*model, request, {.keep = keep, .ahead = next_requests});
//
// Where the text encoder does not stay loaded (model_pool.h), the texts of the clips to come are encoded with it while
// it is, and it lets go of its weights after. Clips that are made side by side wait for each other's texts here.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "pipelines/model/pipeline.h"

namespace bitreel {

struct EncodeOptions {
  std::set<Phase> keep = {};
  std::function<std::vector<Request>()> ahead = {};  // of the same model; asked for only when the encoder goes
};

class Embeddings {
 public:
  // As many as are kept: a 226 x 4096 embedding in bf16 takes 2 MB, with guidance twice that.
  static constexpr std::size_t most = 64;

  NamedTensors of(Pipeline& model, const Request& request, const EncodeOptions& options);

 private:
  using Key = std::pair<const Pipeline*, std::string>;
  const NamedTensors& encoded(Pipeline& model, const Request& request);

  std::mutex one_encodes_;
  std::map<Key, NamedTensors> kept_;
  std::deque<Key> order_;  // oldest first
};

}  // namespace bitreel
