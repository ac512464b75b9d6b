#include "app/batch/embeddings.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string_view>

#include "app/files/content_hash.h"

namespace bitreel {
namespace {

// All of a request that an encoder sees.
std::string text_of(const Request& request) {
  std::string picture;
  if (const auto& seen = request.picture) {
    const std::string_view bytes(reinterpret_cast<const char*>(seen->rgb.data()), seen->rgb.size());
    picture = fmt::format("{}x{} {}", seen->width, seen->height, hash_of_text(bytes));
  }
  return nlohmann::json(
             {request.mode, request.prompt, request.negative_prompt, request.guidance_scale > 1, std::move(picture)})
      .dump();
}

}  // namespace

NamedTensors Embeddings::of(Pipeline& model, const Request& request, const EncodeOptions& options) {
  const std::lock_guard lock(one_encodes_);
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
