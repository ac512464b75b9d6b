// Token ids against transformers', from both kinds of folder; and tokenizers that are none.
#include "pipelines/text/tokenizer.h"

#include <algorithm>

#include "base/json_file.h"
#include "tests/error_text.h"
#include "tests/files.h"
#include "tests/golden.h"
#include "tests/temporary_folder.h"

namespace bitreel {
namespace {

using nlohmann::json;
using test::TemporaryFolder;
using testing::AllOf;
using testing::HasSubstr;

// A prompt of case.json: text, or text to be said many times with the outer spaces cut.
std::string prompt_text(const json& prompt) {
  if (prompt.is_string()) return prompt;
  std::string text;
  for (int i = 0; i < prompt["times"]; ++i) text += prompt["repeat"];
  const std::size_t first = text.find_first_not_of(' ');
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

class Tokenizer : public testing::TestWithParam<std::string> {
 protected:
  Golden golden{"tokenizer"};
  T5Tokenizer tokenizer = T5Tokenizer::open(golden.folder() / golden.json()["folders"][GetParam()].get<std::string>());
};

TEST_P(Tokenizer, GivesThePeersIdsForEveryPrompt) {
  ASSERT_GE(golden.json()["prompts"].size(), 20U);
  const std::size_t length = golden.json()["max_length"];
  for (const json& row : golden.json()["prompts"]) {
    auto expected = row["ids"].get<std::vector<std::int64_t>>();
    expected.resize(length, 0);
    const TokenIds tokens = tokenizer.encode(prompt_text(row["prompt"]), static_cast<std::int64_t>(length));
    EXPECT_EQ(tokens.ids, expected) << row["prompt"];
    const std::int64_t untruncated = row["tokens_before_truncation"];
    EXPECT_EQ(tokens.dropped, std::max<std::int64_t>(untruncated - static_cast<std::int64_t>(length), 0))
        << row["prompt"];
  }
}

TEST_P(Tokenizer, CutsTenThousandWordsToTheLengthAndSaysHowMuchWasCut) {
  std::string text;
  for (int i = 0; i < 10'000; ++i) text += "circle ";
  const TokenIds long_prompt = tokenizer.encode(text, 226);
  const TokenIds all = tokenizer.encode(text, 100'000);
  EXPECT_EQ(all.dropped, 0);
  const auto end = std::find(all.ids.begin(), all.ids.end(), 1);
  EXPECT_EQ(long_prompt.dropped, end - all.ids.begin() - 225);
  ASSERT_EQ(long_prompt.ids.size(), 226U);
  EXPECT_TRUE(std::equal(long_prompt.ids.begin(), long_prompt.ids.end() - 1, all.ids.begin()));
  EXPECT_EQ(long_prompt.ids.back(), 1);
}

TEST_P(Tokenizer, ReadsAnyValidUtf8) {
  for (const char* text : {"\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
                           "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_NO_THROW((void)tokenizer.encode(text, 8));
  }
}

TEST_P(Tokenizer, RefusesInvalidUtf8AndSaysWhere) {
  const std::pair<std::string, int> cases[] = {
      {"\x80", 0},                  // continuation without a lead
      {"ab\xff", 2},                // no lead at all
      {"a\xc3", 1},                 // cut off
      {"a\xe2\x98", 1},             // cut off later
      {"\xc3(", 0},                 // continuation missing
      {"\xc0\xaf", 0},              // overlong, two bytes
      {"\xe0\x80\xaf", 0},          // overlong, three
      {"\xf0\x80\x80\xaf", 0},      // overlong, four
      {"ok \xed\xa0\x80", 3},       // surrogate
      {"\xf4\x90\x80\x80", 0},      // past U+10FFFF
      {"\xf8\x88\x80\x80\x80", 0},  // five bytes
  };
  for (const auto& [text, at] : cases) {
    EXPECT_THAT(error_text<UsageError>([&, &text = text] { (void)tokenizer.encode(text, 8); }),
                HasSubstr("the prompt is not valid UTF-8 at byte " + std::to_string(at)));
  }
}

INSTANTIATE_TEST_SUITE_P(Folders, Tokenizer, testing::Values("spiece", "json"),
                         [](const auto& info) { return info.param; });

TEST(TokenizerFolder, HoldsOneOfTwoFiles) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_text([&] { (void)T5Tokenizer::open(folder.path()); }),
              HasSubstr("holds neither spiece.model nor tokenizer.json"));
  EXPECT_THAT(error_text([&] { (void)T5Tokenizer::open(folder / "none"); }), HasSubstr("none: holds neither"));
}

TEST(TokenizerFolder, RefusesCorruptSentencePieceModels) {
  const TemporaryFolder folder;
  const std::string good = test::read_text("tests/golden/cog2b/model/tokenizer/spiece.model");
  ASSERT_GT(good.size(), 1000U);
  for (const std::string& bytes :
       {std::string(), std::string("not a model"), good.substr(0, good.size() / 2), good.substr(1),
        std::string(1000, '\xff'), std::string("version https://git-lfs.github.com/spec/v1\n")}) {
    test::write_text(folder / "spiece.model", bytes);
    EXPECT_THAT(error_text([&] { (void)T5Tokenizer::open(folder.path()); }),
                AllOf(HasSubstr((folder / "spiece.model").string() + ": the tokenizer can't be loaded"),
                      HasSubstr("download the tokenizer folder again")))
        << bytes.size() << " bytes";
  }
}

TEST(TokenizerFolder, RefusesAnEmptyPiece) {  // SentencePiece's trie throws then
  const TemporaryFolder folder;
  test::write_text(folder / "spiece.model", test::read_text("tests/fuzz/corpus/tokenizer/empty-piece"));
  EXPECT_THAT(error_text([&] { (void)T5Tokenizer::open(folder.path()); }), HasSubstr("the tokenizer can't be loaded"));
}

TEST(TokenizerFolder, RefusesMalformedTokenizerJson) {
  const TemporaryFolder folder;
  const json good = read_json("tests/golden/cog15/model/tokenizer/tokenizer.json");
  const auto open_error = [&](const json& changed) {
    test::write_text(folder / "tokenizer.json", changed.dump());
    return error_text([&] { (void)T5Tokenizer::open(folder.path()); });
  };
  const auto with = [&](const char* pointer, const json& value) {
    json changed = good;
    changed[json::json_pointer(pointer)] = value;
    return changed;
  };
  EXPECT_THAT(open_error(json::array()), HasSubstr("tokenizer.json: holds no unigram model"));
  EXPECT_THAT(open_error(json::object()), HasSubstr("tokenizer.json: holds no unigram model"));
  EXPECT_THAT(open_error(with("/model/type", "BPE")), HasSubstr("tokenizer.json: holds no unigram model"));
  EXPECT_THAT(open_error(with("/model/vocab", 7)), HasSubstr("tokenizer.json: holds no unigram model"));
  EXPECT_THAT(open_error(with("/model/vocab/5", "piece")),
              HasSubstr("tokenizer.json: vocab entry 5 is not a [piece, score] pair"));
  EXPECT_THAT(open_error(with("/model/vocab/5/1", "-1")),
              HasSubstr("tokenizer.json: vocab entry 5 is not a [piece, score] pair"));
  EXPECT_THAT(open_error(with("/model/vocab", json::array())), HasSubstr("the tokenizer can't be loaded"));
  const std::pair<const char*, json> wrong_types[] = {
      {"/model", "x"},          {"/model/unk_id", "x"},      {"/normalizer/type", 7},       {"/added_tokens", "x"},
      {"/added_tokens/0", "x"}, {"/added_tokens/0/id", "x"}, {"/added_tokens/0/content", 7}};
  for (const auto& [place, value] : wrong_types) {
    EXPECT_THAT(open_error(with(place, value)), HasSubstr("tokenizer.json: malformed")) << place;
  }
  test::write_text(folder / "tokenizer.json", "{");
  EXPECT_THAT(error_text([&] { (void)T5Tokenizer::open(folder.path()); }), HasSubstr("tokenizer.json: not valid JSON"));
}

}  // namespace
}  // namespace bitreel
