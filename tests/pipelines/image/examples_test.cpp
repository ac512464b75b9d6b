// The examples of this room's headers, on the tiny UniDiffuser checkpoint (tests/app/manuals_test.cpp compares).
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/InferenceMode.h>
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "pipelines/checkpoint/checkpoint.h"
#include "pipelines/image/autoencoder_kl.h"
#include "pipelines/image/clip_image_processor.h"
#include "pipelines/image/clip_vision.h"
#include "pipelines/image/image_coders.h"
#include "pipelines/image/picture.h"
#include "tests/examples_folder.h"

namespace bitreel::test {
namespace {

class Examples : public ExamplesFolder {
 protected:
  const Checkpoint checkpoint = Checkpoint::open(repository() / "tests/golden/unidiffuser/model");
  const c10::InferenceMode no_gradients_;
};

TEST_F(Examples, OfPictures) {
  write_picture("cat.jpg",
                {.width = 64, .height = 48, .rgb = std::vector<std::uint8_t>(std::size_t{64} * 48 * 3, 128)});
  const Picture picture = read_picture("cat.jpg");
  const Picture small = resized(picture, {.width = 224, .height = 224}, Resampling::bicubic);
  write_picture("small.png", small);
  EXPECT_EQ(read_picture("small.png").width, 224);

  {
    const nlohmann::json json = nlohmann::json::object();
    const ClipImageProcessor processor = read_clip_image_processor(json);
    at::Tensor pixels = preprocessed(picture, processor);
    EXPECT_EQ(pixels.sizes(), (std::vector<std::int64_t>{1, 3, 224, 224}));
  }
}

TEST_F(Examples, OfTheImageEncoder) {
  const ClipVisionConfig config = read_clip_vision_config(checkpoint.config("image_encoder"));
  const at::Tensor pixels = at::zeros({1, 3, config.image_size, config.image_size}, at::TensorOptions(at::kBFloat16));
  const ClipVisionEncoder encoder(checkpoint.weights("image_encoder"), config, {.dtype = at::kBFloat16});
  at::Tensor embeds = encoder(pixels);
  EXPECT_EQ(embeds.size(1), config.projection_dim);
}

TEST_F(Examples, OfTheAutoencoder) {
  const AutoencoderKlConfig config = read_autoencoder_kl_config(checkpoint.config("vae"));
  const at::Generator generator = at::detail::createCPUGenerator(1);
  const at::Tensor pixels =
      at::zeros({1, 3, 4 * config.factor(), 4 * config.factor()}, at::TensorOptions(at::kBFloat16));
  {
    const AutoencoderKl vae(checkpoint.weights("vae"), config, {.dtype = at::kBFloat16}, AutoencoderParts::both);
    const at::Tensor moments = vae.encode(pixels, {});
    const at::Tensor latents = sampled(moments, generator);
    const at::Tensor back = vae.decode(latents, {});
    EXPECT_EQ(latents.sizes(), (std::vector<std::int64_t>{1, config.latent_channels, 4, 4}));
    EXPECT_EQ(back.sizes(), pixels.sizes());
  }
  Loader loader(checkpoint.weights("vae"), {});
  const at::Tensor latents = at::zeros({1, config.latent_channels, 4, 4});
  {
    const ImageDecoder decoder(loader.root(), config, {});
    at::Tensor pixels = decoder(latents);
    EXPECT_EQ(pixels.size(2), 4 * config.factor());
  }
}

}  // namespace
}  // namespace bitreel::test
