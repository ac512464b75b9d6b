#include "pipelines/model/pipeline.h"

namespace bitreel {

std::vector<NamedTensors> Pipeline::denoise_together(const std::vector<Denoising>& clips) {
  std::vector<NamedTensors> latents;
  latents.reserve(clips.size());
  for (const Denoising& clip : clips) latents.push_back(denoise(clip.request, clip.embeddings, clip.options));
  return latents;
}

}  // namespace bitreel
