// The 2D autoencoder against diffusers': sizes, tiles, slices, a posterior, half types, old names.
#include "pipelines/image/autoencoder_kl.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include "base/json_file.h"
#include "tests/error_text.h"
#include "tests/golden.h"

namespace bitreel {
namespace {

using testing::HasSubstr;

AutoencoderKl load(const std::filesystem::path& folder, at::ScalarType dtype = at::kFloat,
                   AutoencoderParts parts = AutoencoderParts::both) {
  return {
      Weights::open(folder), read_autoencoder_kl_config(read_json(folder / "config.json")), {.dtype = dtype}, parts};
}

class Autoencoder : public testing::TestWithParam<std::string> {
 protected:
  Golden golden{"unidiffuser_vae"};
  SafetensorsFile stored = SafetensorsFile::open(golden.folder() / (GetParam() + ".safetensors"));
  AutoencoderKl vae = load(golden.folder() / "model" / GetParam());
};

TEST_P(Autoencoder, EqualsThePeerWholeInTilesAndInSlices) {
  int sizes = 0;
  for (; stored.tensors().contains("size." + std::to_string(sizes) + ".latents"); ++sizes) {
    const std::string size = "size." + std::to_string(sizes) + ".";
    const at::Tensor latents = stored.tensor(size + "latents"), pixels = stored.tensor(size + "pixels");
    for (const bool slicing : {false, true}) {
      golden.expect(vae.decode(latents, {.slicing = slicing}), GetParam(), size + "decoded", tolerance::vae);
      golden.expect(vae.encode(pixels, {.slicing = slicing}), GetParam(), size + "moments", tolerance::vae);
      const AutoencoderRun tiled{.tiling = true, .slicing = slicing};
      golden.expect(vae.decode(latents, tiled), GetParam(), size + "tiled.decoded", tolerance::vae);
      golden.expect(vae.encode(pixels, tiled), GetParam(), size + "tiled.moments", tolerance::vae);
    }
  }
  EXPECT_EQ(sizes, GetParam() == "whole" ? 4 : 1);
}

INSTANTIATE_TEST_SUITE_P(Goldens, Autoencoder, testing::Values("whole", "plain"),
                         [](const auto& info) { return info.param; });

TEST(AutoencoderPosterior, IsDrawnAsThePeerDraws) {
  const Golden golden("unidiffuser_vae");
  const at::Tensor moments = golden.tensor("whole", "size.3.moments");
  golden.expect(sampled(moments, at::detail::createCPUGenerator(5)), "whole", "sample", 1e-6);
}

TEST(AutoencoderHalves, LoadAloneAndRefuseWhatDoesNotFit) {
  const Golden golden("unidiffuser_vae");
  const std::filesystem::path folder = golden.folder() / "model/whole";
  const AutoencoderKl decoder = load(folder, at::kFloat, AutoencoderParts::decoder);
  golden.expect(decoder.decode(golden.tensor("whole", "size.1.latents"), {}), "whole", "size.1.decoded",
                tolerance::vae);
  const AutoencoderKl encoder = load(folder, at::kFloat, AutoencoderParts::encoder);
  golden.expect(encoder.encode(golden.tensor("whole", "size.1.pixels"), {}), "whole", "size.1.moments", tolerance::vae);
  EXPECT_THAT(error_text<UsageError>([&] {
                (void)encoder.encode(at::zeros({1, 3, 18, 16}), {});
              }),
              HasSubstr("16x18 pixels: expected multiples of 4"));

  nlohmann::json config = read_json(folder / "config.json");
  config["sample_size"] = 24;  // an overlap of one and a half latents
  const AutoencoderKl odd(Weights::open(folder), read_autoencoder_kl_config(config), {}, AutoencoderParts::decoder);
  EXPECT_THAT(error_text<UsageError>([&] {
                (void)odd.decode(at::zeros({1, 4, 8, 8}), {.tiling = true});
              }),
              HasSubstr("overlap by 1.5 latents"));
  config["shift_factor"] = 0.5;
  EXPECT_THAT(error_text([&] { (void)read_autoencoder_kl_config(config); }), HasSubstr("shift_factor is set"));
}

TEST(AutoencoderHalves, InHalfTypesAreAsAccurateAsThePeers) {
  const Golden golden("unidiffuser");
  const at::Tensor pixels = golden.tensor("encoders", "vae_pixels");
  golden.expect(load(golden.model() / "vae").encode(pixels, {}), "encoders", "vae_moments", tolerance::vae);
  for (const char* half : {"bf16", "fp16"}) {
    const AutoencoderKl vae = load(golden.model() / "vae", dtype_from(half));
    golden.expect(vae.encode(pixels.to(dtype_from(half)), {}), "encoders", "vae_moments",
                  tolerance::half_factor *
                      golden.json()["peer_error_half"][half]["encoders"]["vae_moments"]["of_max"].get<double>());
  }
}

}  // namespace
}  // namespace bitreel
