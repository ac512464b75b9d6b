// Captions against diffusers': the prefix, every beam's tokens, and decoders that never stop.
#include "pipelines/unidiffuser/caption_decoder.h"

#include <ATen/ATen.h>

#include "base/json_file.h"
#include "pipelines/text/caption_tokenizer.h"
#include "tests/error_text.h"
#include "tests/golden.h"

namespace bitreel {
namespace {

using testing::HasSubstr;

class Captions : public testing::TestWithParam<std::string> {
 protected:
  Golden golden{GetParam()};
  std::filesystem::path folder = golden.model() / "text_decoder";
  CaptionConfig config = read_caption_config(read_json(folder / "config.json"));
  CaptionDecoder decoder{Weights::open(folder), config, {}};
  CaptionTokenizer tokenizer = CaptionTokenizer::open(golden.model() / "text_tokenizer");
};

TEST_P(Captions, NarrowClipsStatesAsThePeer) {
  const PrefixEncoder narrow(Weights::open(folder), config, {});
  golden.expect(narrow(golden.tensor("encoders", "text_states")), "encoders", "prefix", tolerance::module);
}

TEST_P(Captions, AreThePeersTokenByTokenInEveryBeam) {
  int captions = 0;
  for (const auto& [name, request] : golden.json()["requests"].items()) {
    if (!request.contains("text")) continue;
    const at::Tensor latents = golden.tensor(name, "text_latents");
    for (std::int64_t i = 0; i < latents.size(0); ++i) {
      SCOPED_TRACE(name + " " + std::to_string(i));
      const std::vector<Beam> beams = decoder.caption(latents.narrow(0, i, 1), {.end_id = tokenizer.end_id()});
      const std::string caption = "caption." + std::to_string(i);
      const at::Tensor tokens = golden.tensor(name, caption + ".tokens"),
                       lengths = golden.tensor(name, caption + ".lengths");
      ASSERT_EQ(beams.size(), 5U);
      for (std::int64_t b = 0; b < 5; ++b) {
        const Beam& beam = beams[static_cast<std::size_t>(b)];
        const at::Tensor row = tokens[b].narrow(0, 0, lengths[b].item<std::int64_t>()).contiguous();
        EXPECT_EQ(beam.tokens, std::vector<std::int64_t>(row.const_data_ptr<std::int64_t>(),
                                                         row.const_data_ptr<std::int64_t>() + row.numel()))
            << "beam " << b;
      }
      EXPECT_EQ(tokenizer.decode(beams.front().tokens),
                request["text"][static_cast<std::size_t>(i)].get<std::string>());
      ++captions;
    }
  }
  EXPECT_GE(captions, 3);
}

TEST_P(Captions, ThatNeverStopAreCutAndSaidToBe) {
  const at::Tensor latents = golden.tensor("i2t", "text_latents").narrow(0, 0, 1);
  const std::vector<Beam> beams = decoder.caption(latents, {.end_id = -1});
  EXPECT_EQ(beams.front().tokens.size(), 67U);
  EXPECT_FALSE(beams.front().ended);
  EXPECT_THAT(error_text<UsageError>([&] { (void)decoder.caption(latents, {.most_tokens = 1000}); }),
              HasSubstr("a prefix of 77 and a caption of 1000 tokens need 1076 positions, this model has 147"));
}

TEST_P(Captions, WithOneBeamTakeTheLikeliestTokenEachTime) {
  const at::Tensor latents = golden.tensor("joint", "text_latents").narrow(0, 0, 1);
  const std::vector<Beam> greedy =
      decoder.caption(latents, {.beams = 1, .most_tokens = 12, .end_id = tokenizer.end_id()});
  ASSERT_EQ(greedy.size(), 1U);
  // All anew for every token, without what was kept.
  at::Tensor sequence = decoder.embed_prefix(latents);
  for (const std::int64_t token : greedy.front().tokens) {
    CaptionDecoder::Past none;
    const at::Tensor best = decoder.logits(sequence, none).argmax(-1);
    EXPECT_EQ(token, best.item<std::int64_t>());
    sequence = at::cat({sequence, decoder.embed_tokens(best).unsqueeze(1)}, 1);
  }
}

INSTANTIATE_TEST_SUITE_P(Goldens, Captions, testing::Values("unidiffuser", "unidiffuser_v0"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace bitreel
