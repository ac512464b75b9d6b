// The config.json of each part of a model.
#include "base/json_text.h"
#include "pipelines/cogvideox/config.h"
#include "pipelines/image/autoencoder_kl.h"
#include "pipelines/image/clip_image_processor.h"
#include "pipelines/image/clip_vision.h"
#include "pipelines/text/clip_text.h"
#include "pipelines/text/t5.h"
#include "pipelines/unidiffuser/caption_config.h"
#include "pipelines/unidiffuser/uvit_config.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bitreel;
  const std::string text = fuzz::text_of(data, size);
  const auto read = [&](auto reader) { fuzz::refused_or_read([&] { (void)reader(parse_json(text, "config.json")); }); };
  read(read_transformer_config);
  read(read_vae_config);
  read(read_t5_config);
  read(read_uvit_config);
  read(read_caption_config);
  read(read_autoencoder_kl_config);
  read(read_clip_text_config);
  read(read_clip_vision_config);
  read(read_clip_image_processor);
  return 0;
}
