// The VAE against diffusers': frame batches with their caches, tiles, slices, depths and half types, both directions.
#include "pipelines/cogvideox/vae.h"

#include <ATen/ATen.h>

#include "base/json_file.h"
#include "pipelines/cogvideox/vae_layers.h"
#include "tests/error_text.h"
#include "tests/golden.h"

namespace bitreel {
namespace {

using testing::AllOf;
using testing::HasSubstr;

VaeConfig config_of(const Golden& golden) {
  return read_vae_config(read_json(golden.model() / "vae/config.json"));
}

Vae load(const Golden& golden, at::ScalarType dtype = at::kFloat, VaeParts parts = VaeParts::both) {
  return {Weights::open(golden.model() / "vae"), config_of(golden), {.dtype = dtype}, parts};
}

// "decoded.9" -> 9
std::int64_t count_in(const std::string& name) {
  return std::stoll(name.substr(name.find('.') + 1));
}

std::vector<std::string> names_starting(const Golden& golden, const std::string& file, const std::string& prefix) {
  std::vector<std::string> names;
  const SafetensorsFile stored = SafetensorsFile::open(golden.folder() / (file + ".safetensors"));
  for (const auto& entry : stored.tensors()) {
    if (entry.first.starts_with(prefix)) names.push_back(entry.first);
  }
  return names;
}

TEST(VaeBatches, DecodeAsThePeerForEveryCountOfFrames) {
  const Golden golden("vae_batches");
  const Vae vae = load(golden, at::kFloat, VaeParts::decoder);
  const at::Tensor latents = golden.tensor("decode", "latents");
  const std::vector<std::string> names = names_starting(golden, "decode", "decoded.");
  EXPECT_GE(names.size(), 6U);
  for (const std::string& name : names) {
    golden.expect(vae.decode_whole(latents.narrow(2, 0, count_in(name)), {}), "decode", name, tolerance::vae);
  }
}

// The other layout sums in another order.
TEST(VaeBatches, DecodeAsThePeerWithTheChannelsLast) {
  const Golden golden("vae_batches");
  const Vae vae(Weights::open(golden.model() / "vae"), config_of(golden),
                {.convolutions = ConvolutionLayout::channels_last}, VaeParts::decoder);
  const at::Tensor latents = golden.tensor("decode", "latents");
  for (const std::string& name : names_starting(golden, "decode", "decoded.")) {
    golden.expect(vae.decode_whole(latents.narrow(2, 0, count_in(name)), {}), "decode", name, tolerance::vae);
  }
}

TEST(VaeBatches, EncodeAsThePeerForEveryCountOfFrames) {
  const Golden golden("vae_batches");
  const Vae vae = load(golden, at::kFloat, VaeParts::encoder);
  const at::Tensor pixels = golden.tensor("encode", "pixels");
  const std::vector<std::string> names = names_starting(golden, "encode", "moments.");
  EXPECT_GE(names.size(), 6U);
  for (const std::string& name : names) {
    golden.expect(vae.encode(pixels.narrow(2, 0, count_in(name)), {}), "encode", name, tolerance::vae);
  }
}

TEST(VaeBatches, HalfPrecisionIsAsAccurateAsThePeers) {
  const Golden golden("vae_batches");
  for (const char* half : {"bf16", "fp16"}) {
    SCOPED_TRACE(half);
    const at::ScalarType dtype = dtype_from(half);
    const Vae vae = load(golden, dtype);
    const auto allowed = [&](const char* name) {
      return tolerance::half_factor * golden.json()["peer_error_half"][half][name]["of_max"].get<double>();
    };
    const at::Tensor decoded = vae.decode_whole(golden.tensor("decode", "latents").narrow(2, 0, 5).to(dtype), {});
    EXPECT_EQ(decoded.scalar_type(), dtype);
    golden.expect(decoded, "decode", "decoded.5", allowed("decoded.5"));
    const at::Tensor moments = vae.encode(golden.tensor("encode", "pixels").narrow(2, 0, 9).to(dtype), {});
    EXPECT_EQ(moments.scalar_type(), dtype);
    golden.expect(moments, "encode", "moments.9", allowed("moments.9"));
  }
}

TEST(VaeBatches, StreamInOrderAndAddUpToTheWholeClip) {
  const Golden golden("vae_batches");
  const Vae vae = load(golden, at::kFloat, VaeParts::decoder);
  const at::Tensor latents = golden.tensor("decode", "latents");
  std::vector<at::Tensor> pieces;
  std::vector<std::int64_t> lengths;
  vae.decode(latents, {}, [&](const at::Tensor& piece) {
    lengths.push_back(piece.size(2));
    pieces.push_back(piece);
  });
  EXPECT_EQ(lengths, (std::vector<std::int64_t>{9, 8, 8, 8})) << "the odd latent frame goes into the first batch";
  EXPECT_TRUE(at::equal(at::cat(pieces, 2), vae.decode_whole(latents, {})));
}

TEST(VaeBatches, StartAfreshWithEveryClip) {
  const Golden golden("vae_batches");
  const Vae vae = load(golden, at::kFloat, VaeParts::decoder);
  const at::Tensor latents = golden.tensor("decode", "latents").narrow(2, 0, 4);
  const at::Tensor first = vae.decode_whole(latents, {});
  EXPECT_TRUE(at::equal(vae.decode_whole(latents, {}), first)) << "caches of the last clip are not carried over";
}

class VaeGrids : public testing::TestWithParam<std::string> {};

TEST_P(VaeGrids, AreBlendedAsThePeerBlends) {
  const Golden golden("vae_tiles");
  const Vae vae = load(golden);
  const VaeRunOptions tiled{.tiling = default_tiling(config_of(golden))};
  const bool decodes = GetParam() == "decode";
  const std::vector<std::string> names = names_starting(golden, GetParam(), "grid.");
  ASSERT_GE(names.size(), 4U);
  for (const std::string& name : names) {
    if (!name.ends_with(".tiled")) continue;
    const std::string grid = name.substr(0, name.rfind('.'));
    const at::Tensor input = golden.tensor(GetParam(), grid + (decodes ? ".latents" : ".pixels"));
    golden.expect(decodes ? vae.decode_whole(input, tiled) : vae.encode(input, tiled), GetParam(), name,
                  tolerance::vae);
  }
}

INSTANTIATE_TEST_SUITE_P(Directions, VaeGrids, testing::Values("decode", "encode"),
                         [](const auto& info) { return info.param; });

TEST(VaeTiles, AreHalfTheSampleSize) {
  const Golden golden("vae_tiles");
  const VaeTiling tiling = default_tiling(config_of(golden));
  EXPECT_EQ(tiling.tile_height, golden.json()["tile"]["pixels"][0]);
  EXPECT_EQ(tiling.tile_width, golden.json()["tile"]["pixels"][1]);
  const VaeTiling published = default_tiling(VaeConfig{});
  EXPECT_EQ(published.tile_height, 240);
  EXPECT_EQ(published.tile_width, 360);
}

TEST(VaeTiles, StreamInOrderAndAddUpToTheWholeClip) {
  const Golden golden("vae_tiles");
  const Vae vae = load(golden, at::kFloat, VaeParts::decoder);
  const VaeRunOptions tiled{.tiling = default_tiling(config_of(golden))};
  std::vector<at::Tensor> pieces;
  vae.decode(golden.tensor("decode", "grid.0.latents"), tiled,
             [&](const at::Tensor& piece) { pieces.push_back(piece); });
  EXPECT_EQ(pieces.size(), 2U);
  golden.expect(at::cat(pieces, 2), "decode", "grid.0.tiled", tolerance::vae);
}

TEST(VaeTiles, ThatOverlapByAFractionOfALatentAreRefused) {
  const Golden golden("vae_tiles");
  const Vae vae = load(golden);
  const at::Tensor latents = golden.tensor("decode", "grid.0.latents");
  const at::Tensor pixels = golden.tensor("encode", "grid.0.pixels");
  const std::pair<VaeTiling, const char*> cases[] = {
      {{.tile_height = 16, .tile_width = 20}, "VAE tiles of 16 pixels high overlap by 0.6667 latents"},
      {{.tile_height = 24, .tile_width = 16}, "VAE tiles of 16 pixels wide overlap by 0.8 latents"},
      {{.tile_height = 22, .tile_width = 20}, "VAE tiles of 22 pixels high"},
      {{.tile_height = 4, .tile_width = 20, .overlap_height = 1.0}, "VAE tiles of 4 pixels high"},
      {{.tile_height = 0, .tile_width = 20}, "VAE tiles of 0 pixels high"},
  };
  for (const auto& [tiling, complaint] : cases) {
    const VaeRunOptions run{.tiling = tiling};
    const auto refused =
        AllOf(HasSubstr(complaint), HasSubstr("expected a whole number"), HasSubstr("without `vae_tiling`"));
    EXPECT_THAT(error_text<UsageError>([&] { (void)vae.decode_whole(latents, run); }), refused);
    EXPECT_THAT(error_text<UsageError>([&] { (void)vae.encode(pixels, run); }), refused);
  }
}

// The peer's slices: each clip of a batch by itself.
TEST(VaeBatches, WorkOnEachClipAsIfItWereAlone) {
  const Golden golden("vae_tiles");
  const Vae vae = load(golden);
  golden.expect(vae.decode_whole(golden.tensor("slices", "latents"), {}), "slices", "decoded", tolerance::vae);
  golden.expect(vae.encode(golden.tensor("slices", "pixels"), {}), "slices", "moments", tolerance::vae);
}

TEST(VaeLayers, OfAnyDepthAndTheirEpsilonsAreThePeers) {
  const Golden golden("vae_layers");
  const Vae vae = load(golden);
  golden.expect(vae.decode_whole(golden.tensor("stages", "latents"), {}), "stages", "decoded", tolerance::vae);
  golden.expect(vae.encode(golden.tensor("stages", "pixels"), {}), "stages", "moments", tolerance::vae);
}

TEST(VaeLayers, GrowSomeFramesAtATimeAsAllAtOnce) {
  for (const auto layout : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
    Upsample3d upsample;
    upsample.weight = at::linspace(-1, 1, 36, at::kFloat).reshape({2, 2, 3, 3}).contiguous(layout);
    upsample.bias = at::ones({2});
    upsample.time = TimeScaling::halve_or_double;
    const at::Tensor x = at::linspace(0, 900, 2L * 2 * 5 * 6 * 7, at::kFloat).sin_().reshape({2, 2, 5, 6, 7});
    const at::Tensor all = upsample(x);
    ASSERT_EQ(all.sizes(), at::IntArrayRef({2, 2, 9, 12, 14}));
    for (const std::int64_t frames : {0, 1, 3}) {
      upsample.numbers_at_once = frames * 2 * 12 * 14;
      EXPECT_LT(worst_share(upsample(x), all), 1e-6) << frames << " frames at a time";
    }
    for (std::int64_t frame = 0; frame < 9; ++frame) {
      EXPECT_LT(worst_share(upsample(x.narrow(2, (frame + 1) / 2, 1)), all.narrow(2, frame, 1)), 1e-6) << frame;
    }
  }
}

class VaeOfAModel : public testing::TestWithParam<std::string> {};

TEST_P(VaeOfAModel, DecodesTheFinalLatentsAsThePeer) {
  const Golden golden(GetParam());
  const std::int64_t padding = golden.json()["dropped_latent_frames"];
  const at::Tensor latents = golden.tensor("denoise", "final_latents");
  const at::Tensor clip = latents.narrow(1, padding, latents.size(1) - padding).permute({0, 2, 1, 3, 4});
  const at::Tensor scaled = (1.0 / config_of(golden).scaling_factor) * clip;
  golden.expect(load(golden, at::kFloat, VaeParts::decoder).decode_whole(scaled, {}), "frames", "decoded",
                tolerance::vae);
}

INSTANTIATE_TEST_SUITE_P(Goldens, VaeOfAModel, testing::Values("cog2b", "cog5b", "cog15"),
                         [](const auto& info) { return info.param; });

TEST(VaeWeights, OfThePartThatIsNotLoadedAreNoSurplus) {
  const Golden golden("vae_layers");
  nlohmann::json config = read_json(golden.model() / "vae/config.json");
  config["layers_per_block"] = 2;
  const auto complaint = [&](VaeParts parts) {
    return error_text([&] { (void)Vae(Weights::open(golden.model() / "vae"), read_vae_config(config), {}, parts); });
  };
  EXPECT_THAT(complaint(VaeParts::decoder),
              AllOf(HasSubstr("are not part of the model"), HasSubstr("decoder.up_blocks.0.resnets.3.")));
  EXPECT_THAT(complaint(VaeParts::encoder), HasSubstr("encoder.down_blocks.0.resnets.2."));
  config["layers_per_block"] = 4;
  EXPECT_THAT(complaint(VaeParts::decoder),
              HasSubstr("decoder.up_blocks.0.resnets.4.norm1.norm_layer.weight is missing"));
}

}  // namespace
}  // namespace bitreel
