// CLIP's text encoder against transformers', with and without the prefix that names once had.
#include "pipelines/text/clip_text.h"

#include <ATen/ATen.h>

#include "base/json_file.h"
#include "tests/error_text.h"
#include "tests/golden.h"

namespace bitreel {
namespace {

class ClipText : public testing::TestWithParam<std::string> {
 protected:
  Golden golden{GetParam()};
  at::Tensor ids = golden.tensor("encoders", "prompt_ids");

  [[nodiscard]] ClipTextEncoder load(at::ScalarType dtype) const {
    const std::filesystem::path folder = golden.model() / "text_encoder";
    return {Weights::open(folder), read_clip_text_config(read_json(folder / "config.json")), {.dtype = dtype}};
  }
};

TEST_P(ClipText, EqualsThePeer) {
  golden.expect(load(at::kFloat)(ids), "encoders", "text_states", tolerance::module);
}

TEST_P(ClipText, InHalfTypesIsAsAccurateAsThePeers) {
  for (const char* half : {"bf16", "fp16"}) {
    const at::Tensor states = load(dtype_from(half))(ids);
    EXPECT_EQ(states.scalar_type(), dtype_from(half));
    golden.expect(states, "encoders", "text_states",
                  tolerance::half_factor *
                      golden.json()["peer_error_half"][half]["encoders"]["text_states"]["of_max"].get<double>());
  }
}

TEST_P(ClipText, RefusesMoreTokensThanItHasPositions) {
  const ClipTextEncoder encoder = load(at::kFloat);
  EXPECT_THAT(error_text([&] {
                (void)encoder(at::zeros({1, 78}, at::kLong));
              }),
              testing::HasSubstr("got 78 tokens, expected at most 77"));
}

INSTANTIATE_TEST_SUITE_P(Goldens, ClipText, testing::Values("unidiffuser", "unidiffuser_v0"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace bitreel
