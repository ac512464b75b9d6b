#include "app/batch/embeddings.h"

#include "app/encoding_key.h"

namespace bitreel {

NamedTensors Embeddings::of(Pipeline& model, const Request& request, const EncodeOptions& options) {
  const std::lock_guard lock(one_encodes_);
  const Key key(&model, encoding_key(request));
  if (const auto found = kept_.find(key); found != kept_.end()) return found->second;
  NamedTensors embeddings = encoded(model, request);
  if (options.keep.contains(Phase::encode)) return embeddings;
  std::size_t more = most - 1;
  for (const Request& next : options.ahead()) {
    if (more == 0) break;
    if (kept_.contains({&model, encoding_key(next)})) continue;
    encoded(model, next);
    --more;
  }
  model.release(Phase::encode);
  return embeddings;
}

const NamedTensors& Embeddings::encoded(Pipeline& model, const Request& request) {
  Key key(&model, encoding_key(request));
  if (order_.size() == most) {
    kept_.erase(order_.front());
    order_.pop_front();
  }
  order_.push_back(key);
  return kept_[key] = model.encode(request);
}

}  // namespace bitreel
