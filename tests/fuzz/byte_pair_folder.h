// A byte-pair tokenizer's folder from one input, as clip_tokenizer.cpp and caption_tokenizer.cpp read it: parts with a
// zero byte between, each a file in the order of `byte_pair_files`; what is left over is the text or the ids. Where
// there is a tokenizer.json the vocabulary and its merges go. `@` stands for the entries of all 256 bytes, without
// which nothing is read: {@,"ab":512} is a vocabulary.
#pragma once

#include <fmt/format.h>

#include <array>
#include <string>
#include <string_view>

#include "pipelines/text/utf8.h"
#include "tests/fuzz/fuzz.h"

namespace bitreel::fuzz {

inline constexpr std::array<const char*, 6> byte_pair_files = {
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt", "vocab.json",
    "tokenizer.json"};

// Alone and, where words have an end, at it: ids from 0.
inline std::string entries_of_all_bytes(const std::string& word_end) {
  std::string entries;
  char32_t beyond = 0x100;
  int id = 0;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    const char32_t character = printable ? byte : beyond++;
    std::string token = to_utf8(std::u32string_view(&character, 1));
    if (token == "\"" || token == "\\") token.insert(0, "\\");
    for (const std::string& end : word_end.empty() ? std::vector{word_end} : std::vector{std::string(), word_end}) {
      entries += fmt::format(R"({}"{}{}":{})", id == 0 ? "" : ",", token, end, id);
      ++id;
    }
  }
  return entries;
}

// Writes the files; the rest of the input.
inline std::string_view write_byte_pair_folder(const Folder& folder, std::string_view input,
                                               const std::string& entries) {
  for (const char* name : byte_pair_files) {
    std::filesystem::remove(folder.path() / name);
    const std::size_t end = std::min(input.find('\0'), input.size());
    std::string text(input.substr(0, end));
    input.remove_prefix(std::min(end + 1, input.size()));
    if (text.empty()) continue;
    if (const std::size_t at = text.find('@'); at != std::string::npos) text.replace(at, 1, entries);
    if (std::string_view(name) == "tokenizer.json") std::filesystem::remove(folder.path() / "vocab.json");
    folder.write(name, text);
  }
  return input;
}

}  // namespace bitreel::fuzz
