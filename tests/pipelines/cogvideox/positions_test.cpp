// Position tables against diffusers': rotary by crop and by slice, sin-cos in double precision.
#include "pipelines/cogvideox/positions.h"

#include <ATen/ATen.h>

#include "base/json_file.h"
#include "tests/error_text.h"
#include "tests/golden.h"

namespace bitreel {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TransformerConfig rotary_config(std::int64_t base_height, std::int64_t base_width) {
  TransformerConfig config;
  config.use_rotary_positional_embeddings = true;
  config.sample_height = base_height * config.patch_size;
  config.sample_width = base_width * config.patch_size;
  return config;
}

void expect_rotary(const Rotary& ours, const Golden& golden, const std::string& file, const std::string& prefix) {
  golden.expect(ours.cos.repeat_interleave(2, 1), file, prefix + "cos", tolerance::module);
  golden.expect(ours.sin.repeat_interleave(2, 1), file, prefix + "sin", tolerance::module);
  EXPECT_EQ(ours.cos.scalar_type(), at::kFloat);
}

TEST(RotaryPositions, AreThePeersOverCroppedGrids) {
  const Golden golden("positions");
  for (const nlohmann::json& table : golden.json()["tables"]) {
    SCOPED_TRACE(table.dump());
    const TransformerConfig config = rotary_config(table["base"][0], table["base"][1]);
    expect_rotary(rotary_positions(config, table["frames"], table["grid"][0], table["grid"][1]), golden, "linspace",
                  table["name"].get<std::string>() + ".");
  }
}

// Row and column angles of the fastest pair are the positions themselves: from start to stop * (n - 1) / n, evenly.
TEST(RotaryPositions, StartAndStopWhereThePeersCropDoes) {
  const Golden golden("positions");
  const auto expected = [](double start, double stop, std::int64_t n) {
    return at::linspace(start, stop * static_cast<double>(n - 1) / static_cast<double>(n), n, at::kDouble);
  };
  for (const nlohmann::json& crop : golden.json()["crops"]) {
    SCOPED_TRACE(crop.dump());
    const std::int64_t height = crop["grid"][0], width = crop["grid"][1];
    const TransformerConfig config = rotary_config(crop["base"][0], crop["base"][1]);
    const std::int64_t temporal = config.attention_head_dim / 8, vertical = config.attention_head_dim / 16 * 3;
    const Rotary ours = rotary_positions(config, 1, height, width);
    const at::Tensor cos = ours.cos.view({height, width, -1}), sin = ours.sin.view({height, width, -1});
    const at::Tensor rows = expected(crop["top_left"][0], crop["bottom_right"][0], height);
    const at::Tensor columns = expected(crop["top_left"][1], crop["bottom_right"][1], width);
    EXPECT_LT(worst_share(cos.select(1, 0).select(1, temporal), at::cos(rows)), tolerance::module);
    EXPECT_LT(worst_share(sin.select(1, 0).select(1, temporal) + 2, at::sin(rows) + 2), tolerance::module);
    EXPECT_LT(worst_share(cos.select(0, 0).select(1, temporal + vertical), at::cos(columns)), tolerance::module);
    EXPECT_LT(worst_share(sin.select(0, 0).select(1, temporal + vertical) + 2, at::sin(columns) + 2),
              tolerance::module);
  }
}

class ModelPositions : public testing::TestWithParam<std::string> {
 protected:
  Golden golden{GetParam()};
  TransformerConfig config = read_transformer_config(read_json(golden.model() / "transformer/config.json"));
  at::IntArrayRef grid_of(const at::Tensor& latents) {
    grid = {latents.size(1) / config.patch_size_t.value_or(1), latents.size(3) / config.patch_size,
            latents.size(4) / config.patch_size};
    return grid;
  }
  std::vector<std::int64_t> grid;
};

TEST_P(ModelPositions, AreThePeersForTheClip) {
  const at::IntArrayRef g = grid_of(golden.tensor("transformer", "input.hidden_states"));
  if (config.use_rotary_positional_embeddings) {
    expect_rotary(rotary_positions(config, g[0], g[1], g[2]), golden, "transformer", "rope.");
  } else {
    EXPECT_FALSE(rotary_positions(config, g[0], g[1], g[2]).cos.defined());
    const at::Tensor ours = sincos_positions(config, g[0], g[1], g[2]).unsqueeze(0);
    EXPECT_EQ(ours.scalar_type(), at::kDouble);
    golden.expect(ours, "transformer", "position_table", tolerance::table);
  }
}

INSTANTIATE_TEST_SUITE_P(Goldens, ModelPositions, testing::Values("cog2b", "cog5b", "cog15"),
                         [](const auto& info) { return info.param; });

TEST(SincosPositions, AreRecomputedAtOtherSizes) {
  const Golden golden("cog2b");
  const TransformerConfig config = read_transformer_config(read_json(golden.model() / "transformer/config.json"));
  golden.expect(sincos_positions(config, 3, 3, 5).unsqueeze(0), "transformer", "position_table.6x10x3",
                tolerance::table);
}

TEST(RotaryPositions, CountFromZeroWithSlicesAndEndWithTheirTable) {
  TransformerConfig config = rotary_config(3, 4);
  config.patch_size_t = 2;
  const Rotary small = rotary_positions(config, 5, 3, 4);
  EXPECT_EQ(small.cos.sizes().vec(), (std::vector<std::int64_t>{5L * 3 * 4, 32}));
  EXPECT_NEAR(small.sin[4L * 12][0].item<double>(), std::sin(4.0), 1e-6) << "the fifth frame stands at 4";
  EXPECT_NEAR(small.sin[3][8 + 12].item<double>(), std::sin(3.0), 1e-6) << "the fourth column stands at 3";
  for (const auto& [height, width] : {std::pair{4, 4}, std::pair{3, 5}}) {
    EXPECT_THAT(error_text<UsageError>(
                    [&, height = height, width = width] { (void)rotary_positions(config, 1, height, width); }),
                AllOf(HasSubstr("position table is 4x3"), HasSubstr("no larger than the default")));
  }
}

TEST(Sinusoid, PutsCosinesFirstUnlessToldOtherwise) {
  TransformerConfig config;
  const at::Tensor values = at::tensor({0, 999}, at::kLong);
  const at::Tensor table = sinusoid(values, 8, config);
  ASSERT_EQ(table.sizes().vec(), (std::vector<std::int64_t>{2, 8}));
  EXPECT_NEAR(table[1][0].item<double>(), std::cos(999.0), 1e-5);
  EXPECT_NEAR(table[1][7].item<double>(), std::sin(999.0 * std::pow(1e4, -0.75)), 1e-5);
  EXPECT_EQ(table[0][3].item<double>(), 1.0);
  config.flip_sin_to_cos = false;
  EXPECT_TRUE(at::equal(sinusoid(values, 8, config), at::cat({table.narrow(1, 4, 4), table.narrow(1, 0, 4)}, 1)));
  EXPECT_EQ(sinusoid(values, 9, config)[1][8].item<double>(), 0.0) << "an odd width ends in a zero";
}

}  // namespace
}  // namespace bitreel
