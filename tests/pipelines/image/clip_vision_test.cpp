// CLIP's image encoder against transformers'.
#include "pipelines/image/clip_vision.h"

#include <ATen/ATen.h>

#include "base/json_file.h"
#include "tests/error_text.h"
#include "tests/golden.h"

namespace bitreel {
namespace {

class ClipVision : public testing::TestWithParam<std::string> {
 protected:
  Golden golden{GetParam()};
  at::Tensor pixels = golden.tensor("encoders", "clip_pixels");

  [[nodiscard]] ClipVisionEncoder load(at::ScalarType dtype) const {
    const std::filesystem::path folder = golden.model() / "image_encoder";
    return {Weights::open(folder), read_clip_vision_config(read_json(folder / "config.json")), {.dtype = dtype}};
  }
};

TEST_P(ClipVision, EqualsThePeer) {
  const at::Tensor embeds = load(at::kFloat)(pixels, [&](std::int64_t layer, const at::Tensor& states) {
    if (layer == 0) golden.expect(states, "encoders", "image_states.after_layer_0", tolerance::module);
  });
  golden.expect(embeds, "encoders", "image_embeds", tolerance::module);
}

// Twice, not tolerance::half_factor: the peer's error is of AVX-512; with AVX2 alone sums differ, to 1.74 times it.
TEST_P(ClipVision, InHalfTypesIsAsAccurateAsThePeers) {
  constexpr double factor = 2;
  for (const char* half : {"bf16", "fp16"}) {
    const at::Tensor embeds = load(dtype_from(half))(pixels.to(dtype_from(half)));
    EXPECT_EQ(embeds.scalar_type(), dtype_from(half));
    golden.expect(embeds, "encoders", "image_embeds",
                  factor * golden.json()["peer_error_half"][half]["encoders"]["image_embeds"]["of_max"].get<double>());
  }
}

TEST_P(ClipVision, RefusesPixelsOfAnotherSize) {
  const ClipVisionEncoder encoder = load(at::kFloat);
  EXPECT_THAT(error_text<UsageError>([&] {
                (void)encoder(at::zeros({1, 3, 8, 9}));
              }),
              testing::HasSubstr("got 9x8 pixels"));
}

INSTANTIATE_TEST_SUITE_P(Goldens, ClipVision, testing::Values("unidiffuser", "unidiffuser_v0"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace bitreel
