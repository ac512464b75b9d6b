// The transformer against diffusers', layer by layer and in every variant.
#include "pipelines/cogvideox/transformer.h"

#include <ATen/ATen.h>

#include "base/json_file.h"
#include "pipelines/cogvideox/pipeline.h"
#include "tests/error_text.h"
#include "tests/golden.h"

namespace bitreel {
namespace {

using testing::HasSubstr;

Transformer load(const std::filesystem::path& folder, at::ScalarType dtype = at::kFloat,
                 Elementwise elementwise = Elementwise::fused) {
  return {
      Weights::open(folder), read_transformer_config(read_json(folder / "config.json")), {.dtype = dtype}, elementwise};
}

LatentGrid grid_of(const at::Tensor& latents) {
  return {latents.size(1), latents.size(3), latents.size(4)};
}

class TransformerStages : public testing::TestWithParam<std::tuple<std::string, Elementwise>> {
 protected:
  Golden golden{std::get<0>(GetParam())};
  Elementwise elementwise = std::get<1>(GetParam());
  at::Tensor text = at::cat({golden.tensor("text", "negative_prompt_embeds"), golden.tensor("text", "prompt_embeds")});
  at::Tensor latents = golden.tensor("transformer", "input.hidden_states");
  std::int64_t timestep = golden.tensor("transformer", "input.timestep")[0].item<std::int64_t>();
};

TEST_P(TransformerStages, EqualThePeersLayerByLayer) {
  const Transformer transformer = load(golden.model() / "transformer", at::kFloat, elementwise);
  const Conditioning conditioning = transformer.condition(text, grid_of(latents));
  const SafetensorsFile stages = SafetensorsFile::open(golden.folder() / "transformer.safetensors");
  constexpr std::int64_t stored_text_rows = 16;
  golden.expect(conditioning.text.narrow(1, 0, stored_text_rows), "transformer", "patch_embed.text", tolerance::module);

  std::int64_t layers = 0;
  StepContext context;
  context.timestep = timestep;
  context.on_layer = [&](std::int64_t layer, const at::Tensor& sequence) {
    EXPECT_EQ(layer, layers++);
    const std::string name = "block." + std::to_string(layer);
    const std::int64_t text_tokens = text.size(1);
    golden.expect(sequence.narrow(1, 0, stored_text_rows), "transformer", name + ".text", tolerance::module);
    golden.expect(sequence.narrow(1, text_tokens, sequence.size(1) - text_tokens), "transformer", name + ".video",
                  tolerance::module);
  };
  const at::Tensor output = transformer(latents, conditioning, context);
  EXPECT_FALSE(stages.tensors().contains("block." + std::to_string(layers) + ".video")) << "layers are missing";
  golden.expect(output, "transformer", "output", tolerance::module);
}

TEST_P(TransformerStages, TakeTheirTimestepsModulationAmongThoseOfAClip) {
  const Transformer transformer = load(golden.model() / "transformer", at::kFloat, elementwise);
  const at::Tensor modulations = transformer.modulations({999, timestep, 0});
  StepContext context;
  context.modulation = modulations.narrow(0, 1, 1);
  golden.expect(transformer(latents, transformer.condition(text, grid_of(latents)), context), "transformer", "output",
                tolerance::module);
}

TEST_P(TransformerStages, HalfPrecisionIsAsAccurateAsThePeers) {
  ASSERT_FALSE(golden.json()["peer_error_half"].empty());
  for (const auto& [half, peer] : golden.json()["peer_error_half"].items()) {
    SCOPED_TRACE(half);
    CogVideoX pipeline(Checkpoint::open(golden.model()), {.dtype = dtype_from(half)});
    Request request;
    request.prompt = golden.json()["prompt"];
    request.negative_prompt = golden.json()["negative_prompt"];
    const NamedTensors text = pipeline.encode(request);
    const at::Tensor embeddings = at::cat({text.at("negative_prompt_embeds"), text.at("prompt_embeds")});
    EXPECT_EQ(embeddings.scalar_type(), dtype_from(half));
    golden.expect(embeddings.narrow(0, 1, 1), "text", "prompt_embeds",
                  tolerance::half_factor * peer["prompt_embeds"]["of_max"].get<double>());

    const Transformer transformer = load(golden.model() / "transformer", dtype_from(half), elementwise);
    const at::Tensor noise = golden.tensor(half, "initial_latents");
    StepContext context;
    context.timestep = golden.json()["timesteps"][0];
    const at::Tensor output =
        transformer(at::cat({noise, noise}), transformer.condition(embeddings, grid_of(noise)), context);
    EXPECT_EQ(output.scalar_type(), dtype_from(half));
    golden.expect(output, half, "reference.noise_pred",
                  tolerance::half_factor * peer["noise_pred"]["of_max"].get<double>());
  }
}

INSTANTIATE_TEST_SUITE_P(Goldens, TransformerStages,
                         testing::Combine(testing::Values("cog2b", "cog5b", "cog15"),
                                          testing::Values(Elementwise::fused, Elementwise::composed)),
                         [](const auto& info) {
                           return std::get<0>(info.param) + "_" + std::string(name_of(std::get<1>(info.param)));
                         });

// Variants that no text-to-video checkpoint reaches: each call has its own size and a timestep for each sample.
class TransformerVariant : public testing::TestWithParam<std::string> {
 protected:
  Golden golden{"transformer_variants"};
  std::filesystem::path folder = golden.folder() / "model" / GetParam() / "transformer";
  Transformer transformer = load(folder);
  at::Tensor text = golden.tensor("text", "text");
};

TEST_P(TransformerVariant, EqualsThePeerInEveryCall) {
  int calls = 0;
  for (; calls < 3; ++calls) {
    const std::string call = "call." + std::to_string(calls) + ".";
    if (!SafetensorsFile::open(golden.folder() / (GetParam() + ".safetensors")).tensors().contains(call + "output"))
      break;
    const at::Tensor latents = golden.tensor(GetParam(), call + "hidden_states");
    const at::Tensor timesteps = golden.tensor(GetParam(), call + "timestep");
    std::vector<at::Tensor> outputs;
    for (std::int64_t i = 0; i < latents.size(0); ++i) {
      StepContext context;
      context.timestep = timesteps[i].item<std::int64_t>();
      if (GetParam() == "ofs") context.ofs = 2.0;
      outputs.push_back(
          transformer(latents.narrow(0, i, 1), transformer.condition(text.narrow(0, i, 1), grid_of(latents)), context));
    }
    golden.expect(at::cat(outputs), GetParam(), call + "output", tolerance::module);
  }
  EXPECT_GE(calls, 1);
}

INSTANTIATE_TEST_SUITE_P(Goldens, TransformerVariant, testing::Values("ofs", "learned", "resized"),
                         [](const auto& info) { return info.param; });

class LearnedTable : public testing::Test {
 protected:
  Golden golden{"transformer_variants"};
  std::filesystem::path folder = golden.folder() / "model/learned/transformer";
  TransformerConfig config = read_transformer_config(read_json(folder / "config.json"));
  Transformer transformer = load(folder);
  at::Tensor text = golden.tensor("text", "text");
};

TEST_F(LearnedTable, IsSilentlyReplacedWhenOnlyTheFrameCountDiffers) {
  const at::Tensor table = SafetensorsFile::open(folder / "diffusion_pytorch_model.safetensors")
                               .tensor("patch_embed.pos_embedding")
                               .to(at::kFloat);
  const Conditioning learned = transformer.condition(text, {.frames = 3, .height = 4, .width = 6});
  const Conditioning computed = transformer.condition(text, {.frames = 2, .height = 4, .width = 6});
  EXPECT_TRUE(at::equal(learned.video_positions, table.narrow(1, 226, 18)));
  EXPECT_TRUE(at::equal(learned.text, computed.text + table.narrow(1, 0, 226)))
      << "text rows are zero in the computed table";
  EXPECT_TRUE(at::equal(computed.video_positions, sincos_positions(config, 2, 2, 3).to(at::kFloat).unsqueeze(0)));
  EXPECT_EQ(computed.rotary.cos.size(0), 2 * 2 * 3) << "and the rotary table stays";
}

TEST_F(LearnedTable, IsForOneSizeOnly) {
  for (const LatentGrid grid : {LatentGrid{3, 6, 6}, LatentGrid{3, 4, 8}}) {
    EXPECT_THAT(error_text<UsageError>([&] { (void)transformer.condition(text, grid); }),
                HasSubstr("learned positions for its default size only"));
  }
}

TEST(TransformerErrors, AskForOfsWhereTheModelNeedsIt) {
  const Golden golden("transformer_variants");
  const Transformer transformer = load(golden.folder() / "model/ofs/transformer");
  const at::Tensor latents = golden.tensor("ofs", "call.0.hidden_states");
  const Conditioning conditioning = transformer.condition(golden.tensor("text", "text"), grid_of(latents));
  EXPECT_THAT(error_text([&] { (void)transformer(latents, conditioning, {}); }), HasSubstr("conditioned on ofs"));
}

TEST(TransformerErrors, NameWeightsThatTheConfigDoesNotDescribe) {
  const std::filesystem::path folder = "tests/golden/cog2b/model/transformer";
  const auto load_changed = [&](const char* key, const nlohmann::json& value) {
    nlohmann::json config = read_json(folder / "config.json");
    config[key] = value;
    return error_text([&] { (void)Transformer(Weights::open(folder), read_transformer_config(config), {}); });
  };
  EXPECT_THAT(load_changed("num_layers", 3), HasSubstr("transformer_blocks.2.norm1.linear.weight is missing"));
  EXPECT_THAT(load_changed("num_layers", 1),
              HasSubstr("24 tensors are not part of the model that config.json describes: transformer_blocks.1."));
  EXPECT_THAT(load_changed("time_embed_dim", 64),
              HasSubstr("time_embedding.linear_1.weight is [32, 64], config.json says [64, 64]"));
  EXPECT_THAT(load_changed("patch_size_t", 2),
              HasSubstr("patch_embed.proj.weight is [64, 8, 2, 2], config.json says [64, 64]"));
  EXPECT_THAT(load_changed("attention_bias", false), HasSubstr("6 tensors are not part of the model"));
  EXPECT_THAT(load_changed("ofs_embed_dim", 64), HasSubstr("ofs_embedding.linear_1.weight is missing"));
}

}  // namespace
}  // namespace bitreel
