// The models of a batch, each opened once and one of them loaded at a time.
//
//   ModelPool models;
//   const std::shared_ptr<Pipeline> model = models.open(job.options);      // the same one for the same settings
//   models.use(*model);                                                    // the one before lets go of its weights
//   const std::set<Phase> keep = phases_to_keep(*model, cost.all_bytes()); // for ClipRun (app/clip.h)
//
// Clips that are made side by side ask it on their own threads; use() is for the one that begins them all.
// Errors: those of open_model (app/render.h), again for each job that asks for a model that cannot be read.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "app/files/model_identity.h"
#include "app/options.h"
#include "pipelines/model/pipeline.h"

namespace bitreel {

class ModelPool {
 public:
  std::shared_ptr<Pipeline> open(const GenerateOptions& options);
  // Which weights it has, and one hash of all that it is (job_key.h); read when first asked for.
  const ModelIdentity& identity(const Pipeline& model);
  const std::string& content(const Pipeline& model);
  void use(Pipeline& model);

 private:
  std::recursive_mutex one_asks_;
  std::map<std::string, std::shared_ptr<Pipeline>> opened_;  // by model_key
  std::map<std::string, ModelIdentity> identities_;          // by folder
  std::map<std::string, std::string> contents_;              // by folder
  Pipeline* in_use_ = nullptr;
};

// What weights and activations may take of a device's memory: three quarters of what is free now.
double usable_bytes(const at::Device& device);

// The phases whose weights stay loaded from clip to clip: the denoiser's, and the others' too where all weights with
// the largest phase's activations, all_bytes, are usable, or where `offload` keeps them in host memory.
std::set<Phase> phases_to_keep(const Pipeline& model, double all_bytes);

}  // namespace bitreel
