// Which weights a model has, by content: what a precision plan is made for, and what a clip's record states.
//
//   const ModelIdentity identity = identify(*render.model);   // when the model is opened, before it is used
//   identity.files;      // {"vae/diffusion_pytorch_model.safetensors": {"bytes": 8101520, "sha256": "..."}, ...}
//   identity.denoiser;   // one hash of all its files: PlanTarget::model_hash
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "pipelines/model/pipeline.h"

namespace bitreel {

struct ModelIdentity {
  nlohmann::ordered_json files = nlohmann::ordered_json::object();
  std::string denoiser;
};

ModelIdentity identify(const Pipeline& model);

// Throws Error when weights that denoising depends on are not those that `kept` (ModelIdentity::files of the run whose
// work goes on) names. origin: the file that says so. Null: nothing is known, nothing is compared.
void check_same_weights(const Pipeline& model, const ModelIdentity& identity, const nlohmann::ordered_json& kept,
                        const std::string& origin);

// Adds to `warnings` when what decodes is not what `kept` names: latents are the same, their picture is not. Adds
// nothing when it is, or nothing is known.
void warn_of_other_decoder(std::vector<std::string>& warnings, const Pipeline& model, const ModelIdentity& identity,
                           const nlohmann::ordered_json& kept, const std::string& origin);

}  // namespace bitreel
