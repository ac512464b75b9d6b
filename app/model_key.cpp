#include "app/model_key.h"

#include <nlohmann/json.hpp>

#include "app/render.h"

namespace bitreel {

std::string model_key(const GenerateOptions& options) {
  nlohmann::ordered_json key = {{"folder", model_folder(options).string()}};
  for (const char* name : {"dtype", "device", "attention-backend", "elementwise", "linear", "linear-path", "cuda-graph",
                           "weights", "offload", "gpu-memory-limit", "vae-tiling", "vae-layout"}) {
    key[name] = setting(name).get(options);
  }
  return key.dump();
}

}  // namespace bitreel
