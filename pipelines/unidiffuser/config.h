// The configuration files of a UniDiffuser checkpoint, each checked, and all against each other.
//
//   const UniDiffuserConfig config = read_unidiffuser_config(checkpoint);
//
// Folders of the hub name the library "unidiffuser" for unet and text_decoder, folders of today "diffusers": both do.
// Errors: Error naming file, key, value and what is expected; a folder whose parts are another model's says which.
#pragma once

#include "pipelines/checkpoint/checkpoint.h"
#include "pipelines/image/autoencoder_kl.h"
#include "pipelines/image/clip_image_processor.h"
#include "pipelines/image/clip_vision.h"
#include "pipelines/text/clip_text.h"
#include "pipelines/unidiffuser/caption_config.h"
#include "pipelines/unidiffuser/uvit_config.h"
#include "schedulers/noise/multistep_dpm.h"

namespace bitreel {

struct UniDiffuserConfig {
  UVitConfig uvit;
  AutoencoderKlConfig vae;
  ClipTextConfig text_encoder;
  ClipVisionConfig image_encoder;
  ClipImageProcessor image_processor;
  CaptionConfig text_decoder;
  MultistepDpmConfig scheduler;

  // Of the pictures that the model makes and takes, both sides.
  [[nodiscard]] std::int64_t resolution() const { return uvit.sample_size * vae.factor(); }
};

UniDiffuserConfig read_unidiffuser_config(const Checkpoint& checkpoint);

}  // namespace bitreel
