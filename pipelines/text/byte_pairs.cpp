#include "pipelines/text/byte_pairs.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <queue>
#include <sstream>
#include <tuple>

#include "base/error.h"
#include "base/input_file.h"
#include "base/json_file.h"
#include "pipelines/text/utf8.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// GPT-2's alphabet: printable Latin-1 stands for itself, the other bytes for U+0100 and up, in order.
struct Alphabet {
  std::array<std::string, 256> character;
  std::unordered_map<char32_t, unsigned char> byte;

  Alphabet() {
    char32_t next = 0x100;
    for (unsigned b = 0; b < 256; ++b) {
      const bool printable = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
      const char32_t c = printable ? static_cast<char32_t>(b) : next++;
      character[b] = to_utf8(std::u32string_view(&c, 1));
      byte.emplace(c, static_cast<unsigned char>(b));
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet table;
  return table;
}

std::uint64_t pair_key(std::int64_t left, std::int64_t right) {
  return static_cast<std::uint64_t>(left) << 32U | static_cast<std::uint64_t>(right);
}

[[noreturn]] void fail(const std::string& file, const std::string& what) {
  throw Error(fmt::format("{}: {}", file, what), "download the tokenizer folder again");
}

std::pair<std::string, std::string> split_merge(const std::string& line, const std::string& file) {
  const std::size_t space = line.find(' ');
  if (space == std::string::npos || space == 0 || space + 1 == line.size() || line.find(' ', space + 1) != line.npos) {
    fail(file, fmt::format("\"{}\" is no merge, expected two tokens with a space between", line));
  }
  return {line.substr(0, space), line.substr(space + 1)};
}

std::vector<std::pair<std::string, std::string>> read_merges(const fs::path& path) {
  std::istringstream file(read_file(path, {.expected = "merges beside vocab.json"}));
  std::vector<std::pair<std::string, std::string>> merges;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty() || (merges.empty() && line.starts_with("#version"))) continue;
    merges.push_back(split_merge(line, path.string()));
  }
  return merges;
}

}  // namespace

std::string token_bytes(std::string_view token) {
  std::string bytes;
  for (const char32_t c : code_points(token)) {
    const auto found = alphabet().byte.find(c);
    if (found == alphabet().byte.end()) return std::string(token);
    bytes.push_back(static_cast<char>(found->second));
  }
  return bytes;
}

std::int64_t token_id(const json& id, std::string_view token, const std::string& where) {
  constexpr std::int64_t most = 1 << 24;
  if (!id.is_number_integer() || id < 0 || id > most) {
    fail(where,
         fmt::format("token \"{}\" has the id {}, expected a whole number from 0 to {}", token, id.dump(), most));
  }
  return id.get<std::int64_t>();
}

BytePairs BytePairs::open(const fs::path& folder, BytePairOptions options) {
  BytePairs pairs;
  pairs.options_ = std::move(options);
  const fs::path vocabulary = folder / "vocab.json", whole = folder / "tokenizer.json";
  if (fs::exists(vocabulary)) {
    pairs.read(read_json(vocabulary), read_merges(folder / "merges.txt"), vocabulary.string());
  } else if (fs::exists(whole)) {
    const json parsed = read_json(whole);
    try {
      const json& model = parsed.at("model");
      std::vector<std::pair<std::string, std::string>> merges;
      for (const json& merge : model.at("merges")) {
        if (merge.is_string())
          merges.push_back(split_merge(merge.get<std::string>(), whole.string()));
        else
          merges.emplace_back(merge.at(0).get<std::string>(), merge.at(1).get<std::string>());
      }
      const std::string word_end = model.value("end_of_word_suffix", json()).is_string()
                                       ? model["end_of_word_suffix"].get<std::string>()
                                       : std::string();
      if (word_end != pairs.options_.word_end) {
        fail(whole.string(), fmt::format("words end with \"{}\", expected \"{}\"", word_end, pairs.options_.word_end));
      }
      pairs.read(model.at("vocab"), merges, whole.string());
    } catch (const json::exception& error) {
      fail(whole.string(), fmt::format("malformed: {}", error.what()));
    }
  } else {
    throw Error(fmt::format("{}: holds neither vocab.json and merges.txt nor tokenizer.json", folder.string()),
                "download the tokenizer folder");
  }
  return pairs;
}

void BytePairs::read(const json& vocabulary, const std::vector<std::pair<std::string, std::string>>& merges,
                     const std::string& file) {
  if (!vocabulary.is_object()) fail(file, "expected an object of tokens and their ids");
  for (const auto& [token, id] : vocabulary.items()) {
    const std::int64_t number = token_id(id, token, file);
    ids_.emplace(token, number);
    if (!tokens_.emplace(number, token).second) fail(file, fmt::format("two tokens have the id {}", number));
    size_ = std::max(size_, number + 1);
  }
  check_bytes(file);
  std::int64_t rank = 0;
  for (const auto& [left, right] : merges) {
    const std::int64_t l = id_of(left), r = id_of(right), joined = id_of(left + right);
    if (l < 0 || r < 0 || joined < 0) {
      fail(file, fmt::format("the merge of \"{}\" and \"{}\" names or makes a token that the vocabulary has not", left,
                             right));
    }
    merges_.emplace(pair_key(l, r), Merge{rank++, joined});
  }
}

void BytePairs::check_bytes(const std::string& file) const {
  std::int64_t missing = 0;
  unsigned first = 0;
  for (unsigned b = 256; b-- > 0;) {
    const std::string& character = alphabet().character[b];
    if (ids_.contains(character) && ids_.contains(character + options_.word_end)) continue;
    ++missing;
    first = b;
  }
  if (missing > 0) {
    fail(file, fmt::format("the vocabulary lacks {} of the 256 bytes, 0x{:02x} first{}: text with them has no tokens",
                           missing, first, options_.word_end.empty() ? "" : ", alone or at a word's end"));
  }
}

std::vector<std::int64_t> BytePairs::encode(std::string_view word) const {
  struct Symbol {
    std::int64_t id;
    std::ptrdiff_t before, after;
  };
  std::vector<Symbol> symbols;
  const auto count = static_cast<std::ptrdiff_t>(word.size());
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    const std::string& character = alphabet().character[static_cast<unsigned char>(word[static_cast<std::size_t>(i)])];
    symbols.push_back(
        {id_of(i + 1 < count ? character : character + options_.word_end), i - 1, i + 1 < count ? i + 1 : -1});
  }
  const auto at = [&](std::ptrdiff_t i) -> Symbol& { return symbols[static_cast<std::size_t>(i)]; };

  using Candidate = std::tuple<std::int64_t, std::ptrdiff_t, std::uint64_t>;  // rank, index, the pair then there
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates;
  const auto consider = [&](std::ptrdiff_t left) {
    if (left < 0 || at(left).after < 0) return;
    const std::uint64_t key = pair_key(at(left).id, at(at(left).after).id);
    if (const auto merge = merges_.find(key); merge != merges_.end()) candidates.emplace(merge->second.rank, left, key);
  };
  for (std::ptrdiff_t i = 0; i < count; ++i) consider(i);
  while (!candidates.empty()) {
    const auto [rank, left, key] = candidates.top();
    candidates.pop();
    Symbol& symbol = at(left);
    if (symbol.id < 0 || symbol.after < 0 || pair_key(symbol.id, at(symbol.after).id) != key)
      continue;  // gone meanwhile
    symbol.id = merges_.at(key).id;
    Symbol& joined = at(symbol.after);
    joined.id = -1;
    symbol.after = joined.after;
    if (symbol.after >= 0) at(symbol.after).before = left;
    consider(symbol.before);
    consider(left);
  }
  std::vector<std::int64_t> ids;
  for (std::ptrdiff_t i = count > 0 ? 0 : -1; i >= 0; i = at(i).after) ids.push_back(at(i).id);
  return ids;
}

std::string BytePairs::bytes_of(std::int64_t id) const {
  const auto found = tokens_.find(id);
  if (found == tokens_.end()) throw Error(fmt::format("token {}: the vocabulary has {} tokens", id, size_));
  return token_bytes(found->second);
}

std::int64_t BytePairs::id_of(const std::string& token) const {
  const auto found = ids_.find(token);
  return found == ids_.end() ? -1 : found->second;
}

}  // namespace bitreel
