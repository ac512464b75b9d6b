// The examples of this room's headers, on the tiny UniDiffuser checkpoint (tests/app/manuals_test.cpp compares). T5's
// are in tests/app/examples_test.cpp, on the default model.
#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <string>
#include <vector>

#include "pipelines/checkpoint/checkpoint.h"
#include "pipelines/text/byte_pairs.h"
#include "pipelines/text/caption_tokenizer.h"
#include "pipelines/text/clip_text.h"
#include "pipelines/text/clip_tokenizer.h"
#include "pipelines/text/special_tokens.h"
#include "pipelines/text/utf8.h"

namespace bitreel {
namespace {

const std::filesystem::path folder = "tests/golden/unidiffuser/model";

TEST(Examples, OfTokenizers) {
  const ClipTokenizer tokenizer = ClipTokenizer::open(folder / "clip_tokenizer");
  const TokenIds tokens = tokenizer.encode("a red circle", 77);
  EXPECT_EQ(tokens.ids.size(), 77U);
  {
    const std::vector<std::int64_t> ids = {0, 1};
    const CaptionTokenizer tokenizer = CaptionTokenizer::open(folder / "text_tokenizer");
    const std::string caption = tokenizer.decode(ids);
    tokenizer.end_id();
    EXPECT_FALSE(caption.empty());
    EXPECT_EQ(tokenizer.decode({0, 1, tokenizer.end_id()}), caption);
  }
}

TEST(Examples, OfBytePairs) {
  const std::filesystem::path folder = bitreel::folder / "clip_tokenizer";
  const BytePairs pairs = BytePairs::open(folder, {.word_end = "</w>"});
  const std::vector<std::int64_t> ids = pairs.encode("circle");
  const std::string bytes = pairs.bytes_of(ids[0]);
  EXPECT_EQ(bytes.front(), 'c');
  const std::string end = "<|endoftext|>";
  const SpecialTokenDefaults defaults{.begin = "<|startoftext|>", .end = end, .pad = end, .unknown = end};
  const SpecialTokens special = SpecialTokens::read(folder, pairs, defaults);
  special.end.content;
  EXPECT_EQ(special.end.content, end);
}

TEST(Examples, OfUtf8) {
  const std::string prompt = "CAFE\xcc\x81", bytes_of_a_model = "a\xff";
  const std::u32string text = fold_case(to_nfc(code_points(prompt)));
  const std::string shown = with_replacements(bytes_of_a_model);
  EXPECT_EQ(text, U"caf\u00e9");
  EXPECT_EQ(shown, "a\xef\xbf\xbd");
}

TEST(Examples, OfTheTextEncoder) {
  const Checkpoint checkpoint = Checkpoint::open(folder);
  const ClipTextConfig config = read_clip_text_config(checkpoint.config("text_encoder"));
  const at::Tensor ids = at::zeros({1, 77}, at::TensorOptions(at::kLong));
  const ClipTextEncoder encoder(checkpoint.weights("text_encoder"), config, {.dtype = at::kBFloat16});
  at::Tensor states = encoder(ids);
  EXPECT_EQ(states.sizes(), (std::vector<std::int64_t>{1, 77, config.layers.hidden_size}));
}

}  // namespace
}  // namespace bitreel
