// The U-ViT against diffusers', layer by layer.
#include "pipelines/unidiffuser/uvit.h"

#include <ATen/ATen.h>

#include "base/json_file.h"
#include "tests/error_text.h"
#include "tests/golden.h"

namespace bitreel {
namespace {

using testing::HasSubstr;

UVit load(const std::filesystem::path& folder) {
  return {Weights::open(folder), read_uvit_config(read_json(folder / "config.json")), {.dtype = at::kFloat}};
}

at::Tensor at_timestep(std::int64_t timestep, std::int64_t batch = 1) {
  return at::full({batch}, timestep, at::TensorOptions(at::kLong));
}

class UVitStages : public testing::TestWithParam<std::string> {
 protected:
  Golden golden{GetParam()};
  UVit uvit = load(golden.model() / "unet");

  [[nodiscard]] UVitInput first_call(const std::string& mode) const {
    return {.image_vae = golden.tensor(mode, "first_call.image_vae_latents"),
            .image_clip = golden.tensor(mode, "first_call.image_clip_latents"),
            .text = golden.tensor(mode, "first_call.text_latents"),
            .image_timesteps = {},
            .text_timesteps = {}};
  }
};

TEST_P(UVitStages, EqualThePeersLayerByLayer) {
  const nlohmann::json inside = golden.json()["inside"];
  UVitInput input = first_call("t2i");
  input.image_timesteps = at_timestep(inside["timestep_img"]);
  input.text_timesteps = at_timestep(inside["timestep_text"]);
  std::int64_t layers = -1;
  UVitContext context;
  context.data_type = inside["data_type"];
  context.on_layer = [&](std::int64_t layer, const at::Tensor& tokens) {
    EXPECT_EQ(layer, layers++);
    golden.expect(tokens, "uvit", layer < 0 ? "tokens" : "layer." + std::to_string(layer), tolerance::module);
  };
  (void)uvit(input, context);
  EXPECT_EQ(layers, inside["layers"].get<std::int64_t>());
}

TEST_P(UVitStages, PredictThePeersNoiseForBothAtOnceInABatchToo) {
  for (const char* mode : {"t2i", "i2t", "joint", "image", "text"}) {
    SCOPED_TRACE(mode);
    const std::int64_t first = golden.json()["requests"][mode]["timesteps"][0];
    const std::string name = mode;
    UVitInput input = first_call(mode);
    input.image_timesteps = at_timestep(name == "i2t" ? 0 : name == "text" ? 1000 : first);
    input.text_timesteps = at_timestep(name == "t2i" ? 0 : name == "image" ? 1000 : first);
    const UVitOutput alone = uvit(input, {});
    golden.expect(alone.image_vae, mode, "first_call.noise.image_vae", tolerance::module);
    golden.expect(alone.image_clip, mode, "first_call.noise.image_clip", tolerance::module);
    golden.expect(alone.text, mode, "first_call.noise.text", tolerance::module);
    const auto twice = [](const at::Tensor& x, const at::Tensor& other) { return at::cat({other, x}); };
    const UVitOutput both = uvit({.image_vae = twice(input.image_vae, at::randn_like(input.image_vae)),
                                  .image_clip = twice(input.image_clip, at::randn_like(input.image_clip)),
                                  .text = twice(input.text, at::randn_like(input.text)),
                                  .image_timesteps = twice(input.image_timesteps, at_timestep(1000)),
                                  .text_timesteps = twice(input.text_timesteps, at_timestep(3))},
                                 {});
    golden.expect(both.text.narrow(0, 1, 1), mode, "first_call.noise.text", tolerance::module);
    golden.expect(both.image_vae.narrow(0, 1, 1), mode, "first_call.noise.image_vae", tolerance::module);
  }
}

INSTANTIATE_TEST_SUITE_P(Goldens, UVitStages, testing::Values("unidiffuser", "unidiffuser_v0"),
                         [](const auto& info) { return info.param; });

TEST(UVitErrors, NameWhatDoesNotFit) {
  const Golden golden("unidiffuser");
  const std::filesystem::path folder = golden.model() / "unet";
  const auto changed = [&](const char* key, const nlohmann::json& value) {
    nlohmann::json config = read_json(folder / "config.json");
    config[key] = value;
    return error_text([&] { (void)UVit(Weights::open(folder), read_uvit_config(config), {}); });
  };
  EXPECT_THAT(changed("num_layers", 2),
              HasSubstr("are not part of the model that config.json describes: transformer.transformer_in_blocks.1."));
  EXPECT_THAT(changed("num_layers", 6), HasSubstr("transformer.transformer_in_blocks.2.norm1.weight is missing"));
  EXPECT_THAT(changed("use_data_type_embedding", false),
              HasSubstr("data_type_pos_embed_token, data_type_token_embedding.weight"));
  EXPECT_THAT(changed("use_timestep_embedding", true), HasSubstr("timestep_img_embed.linear_1.weight is missing"));
  EXPECT_THAT(changed("patch_size", 3), HasSubstr("sample_size is 8, expected a multiple of patch_size 3"));
  EXPECT_THAT(changed("patch_size", nullptr), HasSubstr("patch_size is missing"));
  EXPECT_THAT(changed("cross_attention_dim", 8), HasSubstr("cross_attention_dim is set"));
  EXPECT_THAT(changed("activation_fn", "swiglu"), HasSubstr("activation_fn"));
  const UVit uvit = load(folder);
  EXPECT_THAT(error_text<UsageError>([&] {
                (void)uvit({.image_vae = at::zeros({1, 4, 10, 8}),
                            .image_clip = at::zeros({1, 1, 24}),
                            .text = at::zeros({1, 77, 16}),
                            .image_timesteps = at_timestep(1),
                            .text_timesteps = at_timestep(1)},
                           {});
              }),
              HasSubstr("latents of 8x10 with 77 text tokens"));
}

}  // namespace
}  // namespace bitreel
