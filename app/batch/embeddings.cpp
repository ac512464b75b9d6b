#include "app/batch/embeddings.h"

#include <nlohmann/json.hpp>

namespace bitreel {
namespace {

// All of a request that an encoder sees.
std::string text_of(const Request& request) {
  return nlohmann::json({request.mode, request.prompt, request.negative_prompt, request.guidance_scale > 1}).dump();
}

}  // namespace

NamedTensors Embeddings::of(Pipeline& model, const Request& request, const EncodeOptions& options) {
  const Key key(&model, text_of(request));
  if (const auto found = kept_.find(key); found != kept_.end()) return found->second;
  NamedTensors embeddings = encoded(model, request);
  if (options.keep.contains(Phase::encode)) return embeddings;
  std::size_t more = most - 1;
  for (const Request& next : options.ahead()) {
    if (more == 0) break;
    if (kept_.contains({&model, text_of(next)})) continue;
    encoded(model, next);
    --more;
  }
  model.release(Phase::encode);
  return embeddings;
}

const NamedTensors& Embeddings::encoded(Pipeline& model, const Request& request) {
  Key key(&model, text_of(request));
  if (order_.size() == most) {
    kept_.erase(order_.front());
    order_.pop_front();
  }
  order_.push_back(key);
  return kept_[key] = model.encode(request);
}

}  // namespace bitreel
