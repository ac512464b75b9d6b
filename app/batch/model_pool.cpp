#include "app/batch/model_pool.h"

#include <string>

#include "app/batch/job_key.h"
#include "app/model_key.h"
#include "app/render.h"
#include "pipelines/model/machine_memory.h"

namespace bitreel {

double usable_bytes(const at::Device& device) {
  return 0.75 * machine_memory(device).available;
}

std::shared_ptr<Pipeline> ModelPool::open(const GenerateOptions& options) {
  const std::lock_guard lock(one_asks_);
  std::shared_ptr<Pipeline>& model = opened_[model_key(options)];
  if (!model) model = open_model(options);
  return model;
}

const ModelIdentity& ModelPool::identity(const Pipeline& model) {
  const std::lock_guard lock(one_asks_);
  const std::string folder = model.checkpoint().folder().string();
  const auto known = identities_.find(folder);
  if (known != identities_.end()) return known->second;
  return identities_.emplace(folder, identify(model)).first->second;  // which may throw: then nothing is known
}

const std::string& ModelPool::content(const Pipeline& model) {
  const std::lock_guard lock(one_asks_);
  std::string& content = contents_[model.checkpoint().folder().string()];
  if (content.empty()) content = content_of(model, identity(model));
  return content;
}

void ModelPool::use(Pipeline& model) {
  if (in_use_ != nullptr && in_use_ != &model) {
    for (const Phase phase : {Phase::encode, Phase::denoise, Phase::decode}) in_use_->release(phase);
  }
  in_use_ = &model;
}

std::set<Phase> phases_to_keep(const Pipeline& model, double all_bytes) {
  // What waits in host memory takes no place on the device, and would be read from its files again.
  if (model.options().offload != Offload::none) return {Phase::encode, Phase::denoise, Phase::decode};
  if (all_bytes <= usable_bytes(model.options().device)) return {Phase::encode, Phase::denoise, Phase::decode};
  return {Phase::denoise};
}

}  // namespace bitreel
