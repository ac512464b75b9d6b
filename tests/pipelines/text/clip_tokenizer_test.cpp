// CLIP's token ids and captions against transformers'; byte-pair folders that are none.
#include "pipelines/text/clip_tokenizer.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/json_file.h"
#include "pipelines/text/caption_tokenizer.h"
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

class ClipTokens : public testing::TestWithParam<std::string> {
 protected:
  Golden golden{"unidiffuser_tokenizer"};
  ClipTokenizer tokenizer = ClipTokenizer::open(golden.folder() / GetParam());

  // What all folders share is stored once.
  [[nodiscard]] json of_folder(const json& value) const { return value.is_object() ? value[GetParam()] : value; }
};

TEST_P(ClipTokens, AreThePeersForEveryPrompt) {
  ASSERT_GE(golden.json()["prompts"].size(), 40U);
  const std::size_t length = golden.json()["max_length"];
  for (const json& row : golden.json()["prompts"]) {
    auto expected = of_folder(row["ids"]).get<std::vector<std::int64_t>>();
    expected.resize(length, golden.json()["pad"][GetParam()]);
    const TokenIds tokens = tokenizer.encode(row["prompt"].get<std::string>(), static_cast<std::int64_t>(length));
    EXPECT_EQ(tokens.ids, expected) << row["prompt"];
    const auto untruncated = of_folder(row["tokens_before_truncation"]).get<std::int64_t>();
    EXPECT_EQ(tokens.dropped, std::max<std::int64_t>(untruncated - static_cast<std::int64_t>(length), 0))
        << row["prompt"];
  }
}

TEST_P(ClipTokens, OfAHundredThousandLettersComeInNoTimeAndAreCut) {
  const TokenIds tokens = tokenizer.encode(std::string(100'000, 'e'), 77);
  EXPECT_EQ(tokens.ids.size(), 77U);
  EXPECT_GT(tokens.dropped, 10'000);
}

TEST_P(ClipTokens, RefuseInvalidUtf8AndSayWhere) {
  EXPECT_THAT(error_text<UsageError>([&] { (void)tokenizer.encode("red \xff", 77); }),
              HasSubstr("not valid UTF-8 at byte 4"));
}

INSTANTIATE_TEST_SUITE_P(Folders, ClipTokens,
                         testing::Values("end_pads", "mark_pads", "end_pads_json", "mark_pads_json"),
                         [](const auto& info) { return info.param; });

TEST(CaptionTokenizer, TurnsIdsIntoThePeersText) {
  const Golden golden("unidiffuser_tokenizer");
  for (const char* folder : {"caption", "caption_json"}) {
    const CaptionTokenizer tokenizer = CaptionTokenizer::open(golden.folder() / folder);
    EXPECT_EQ(tokenizer.end_id(), golden.json()["end_id"].get<std::int64_t>()) << "not what tokenizer_config.json says";
    for (const json& caption : golden.json()["captions"]) {
      EXPECT_EQ(tokenizer.decode(caption["ids"].get<std::vector<std::int64_t>>()), caption["text"].get<std::string>());
    }
    EXPECT_THAT(error_text([&] { (void)tokenizer.decode({5000}); }), HasSubstr("token 5000"));
  }
}

class BytePairFolder : public testing::Test {
 protected:
  TemporaryFolder folder;
  std::filesystem::path good = Golden("unidiffuser_tokenizer").folder() / "end_pads";
  json vocabulary = read_json(good / "vocab.json");

  void SetUp() override { std::filesystem::copy(good, folder.path(), std::filesystem::copy_options::recursive); }
  void write(const json& value) { test::write_text(folder.path() / "vocab.json", value.dump()); }
  std::string refusal() {
    return error_text([&] { (void)ClipTokenizer::open(folder.path()); });
  }
};

TEST_F(BytePairFolder, ThatLacksBytesIsRefusedAndOneIsNamed) {
  vocabulary.erase("~</w>");
  vocabulary.erase("\u0100");  // byte 0
  write(vocabulary);
  EXPECT_THAT(refusal(),
              AllOf(HasSubstr("lacks 2 of the 256 bytes, 0x00 first"), HasSubstr("alone or at a word's end")));
}

TEST_F(BytePairFolder, WhoseFilesDoNotFitIsRefused) {
  write(json::array());
  EXPECT_THAT(refusal(), HasSubstr("expected an object of tokens"));
  json odd = vocabulary;
  odd["a"] = "one";
  write(odd);
  EXPECT_THAT(refusal(), HasSubstr("token \"a\" has the id \"one\""));
  odd["a"] = odd["b"];
  write(odd);
  EXPECT_THAT(refusal(), HasSubstr("two tokens have the id"));
  write(vocabulary);
  test::write_text(folder.path() / "merges.txt", "#version: 0.2\nr e d\n");
  EXPECT_THAT(refusal(), HasSubstr("\"r e d\" is no merge"));
  test::write_text(folder.path() / "merges.txt", "#version: 0.2\nq q\n");
  EXPECT_THAT(refusal(), HasSubstr("the merge of \"q\" and \"q\""));
  std::filesystem::remove(folder.path() / "merges.txt");
  EXPECT_THAT(refusal(), HasSubstr("merges.txt: cannot be read: No such file"));
  ASSERT_EQ(mkfifo((folder.path() / "merges.txt").c_str(), 0600), 0);
  EXPECT_THAT(refusal(), HasSubstr("merges.txt: cannot be read: it is a FIFO"));
  std::filesystem::remove(folder.path() / "merges.txt");
  std::filesystem::remove(folder.path() / "vocab.json");
  EXPECT_THAT(refusal(), HasSubstr("holds neither vocab.json and merges.txt nor tokenizer.json"));
}

TEST_F(BytePairFolder, WhoseAddedTokensAreNoneIsRefused) {
  const auto refusal_of = [&](const char* file, const char* text) {
    test::write_text(folder.path() / file, text);
    std::string said = refusal();
    std::filesystem::copy_file(good / "tokenizer_config.json", folder.path() / "tokenizer_config.json",
                               std::filesystem::copy_options::overwrite_existing);
    std::filesystem::remove(folder.path() / "added_tokens.json");
    return said;
  };
  EXPECT_THAT(refusal_of("tokenizer_config.json", R"({"added_tokens_decoder": {"x": {"content": "a"}}})"),
              HasSubstr(R"(token "a" has the id "x", expected a whole number from 0 to)"));
  EXPECT_THAT(refusal_of("tokenizer_config.json", R"({"added_tokens_decoder": "all"})"), HasSubstr("malformed"));
  EXPECT_THAT(refusal_of("tokenizer_config.json", R"({"added_tokens_decoder": {"99999999999": {"content": "a"}}})"),
              HasSubstr("has the id 99999999999"));
  EXPECT_THAT(refusal_of("added_tokens.json", R"({"a": -5})"), HasSubstr(R"(token "a" has the id -5)"));
  EXPECT_THAT(refusal_of("added_tokens.json", R"({"a": 1e300})"), HasSubstr("has the id 1e+300"));
  EXPECT_THAT(refusal_of("added_tokens.json", R"({"": 7})"), HasSubstr("an added token, of id 7, is empty"));
  json many;
  for (int i = 0; i < 5000; ++i) many[std::to_string(i)] = 600 + i;
  EXPECT_THAT(refusal_of("added_tokens.json", many.dump().c_str()), HasSubstr("more than 4096 added tokens"));
}

}  // namespace
}  // namespace bitreel
