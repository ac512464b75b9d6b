// The T5 tokenizer of a checkpoint's tokenizer/ folder: text to exactly the ids that transformers gives.
//
//   const T5Tokenizer tokenizer = T5Tokenizer::open(folder / "tokenizer");
//   const TokenIds tokens = tokenizer.encode("a red circle", 226);    // tokens.ids: 226 ids, </s> then <pad>
//
// Reads spiece.model (SentencePiece unigram), as folders on the hub have it, or tokenizer.json, as transformers 5 saves
// it. Special tokens written in the text (</s>, <pad>, <extra_id_0>) become their ids, as in the peer.
// Source: Raffel et al., arXiv 1910.10683; transformers tokenization_t5.py.
// Errors: Error when the folder has neither file or one is malformed; invalid UTF-8 in the text is a UsageError.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace bitreel {

struct TokenIds {
  std::vector<std::int64_t> ids;  // exactly `length` of them
  std::int64_t dropped = 0;       // tokens of the text that did not fit; > 0 deserves a warning
};

class T5Tokenizer {
 public:
  static T5Tokenizer open(const std::filesystem::path& folder);
  T5Tokenizer(T5Tokenizer&&) noexcept;
  T5Tokenizer& operator=(T5Tokenizer&&) noexcept;
  ~T5Tokenizer();

  [[nodiscard]] TokenIds encode(std::string_view text, std::int64_t length) const;

 private:
  T5Tokenizer();
  std::unique_ptr<sentencepiece::SentencePieceProcessor> pieces_;
  std::vector<std::pair<std::string, std::int64_t>> special_tokens_;  // longest first
};

}  // namespace bitreel
