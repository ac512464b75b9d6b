// Byte-pair encoding over bytes, as GPT-2 and CLIP use it: a vocabulary of byte strings and the order in which to join.
//
//   const BytePairs pairs = BytePairs::open(folder, {.word_end = "</w>"});      // vocab.json and merges.txt
//   const std::vector<std::int64_t> ids = pairs.encode("circle");                     // of one word, nothing added
//   const std::string bytes = pairs.bytes_of(ids[0]);
//
// Or tokenizer.json, as transformers 5 saves it. Every byte has a printable character in the files (GPT-2's alphabet).
// Source: Sennrich et al., arXiv 1508.07909; the peer's order: lowest merge first, the leftmost among equals.
// Errors: Error when files are missing or malformed, when the vocabulary lacks a byte, when a merge names no token.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace bitreel {

struct BytePairOptions {
  std::string word_end = {};  // what the last piece of a word ends with
};

class BytePairs {
 public:
  static BytePairs open(const std::filesystem::path& folder, BytePairOptions options);

  [[nodiscard]] std::vector<std::int64_t> encode(std::string_view word) const;
  // The bytes that a token stands for; an id that the vocabulary has not is an Error.
  [[nodiscard]] std::string bytes_of(std::int64_t id) const;
  // -1 when there is none.
  [[nodiscard]] std::int64_t id_of(const std::string& token) const;
  // One above the highest id.
  [[nodiscard]] std::int64_t size() const { return size_; }

 private:
  struct Merge {
    std::int64_t rank = 0;
    std::int64_t id = 0;
  };

  void read(const nlohmann::json& vocabulary, const std::vector<std::pair<std::string, std::string>>& merges,
            const std::string& file);
  void check_bytes(const std::string& file) const;

  BytePairOptions options_;
  std::int64_t size_ = 0;
  std::unordered_map<std::string, std::int64_t> ids_;
  std::unordered_map<std::int64_t, std::string> tokens_;
  std::unordered_map<std::uint64_t, Merge> merges_;  // by left id << 32 | right id
};

// The bytes that a token's characters stand for; a token with other characters stands for itself.
std::string token_bytes(std::string_view token);

// A token's id as a tokenizer's files give it. Error, which begins with `where`, unless it is a whole number that an
// embedding may have a row for.
std::int64_t token_id(const nlohmann::json& id, std::string_view token, const std::string& where);

}  // namespace bitreel
