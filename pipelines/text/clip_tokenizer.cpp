#include "pipelines/text/clip_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "pipelines/text/utf8.h"

namespace bitreel {
namespace {

const std::string start_token = "<|startoftext|>", end_token = "<|endoftext|>";
// The pattern that splits words spells both tokens out; GPT-2's, which runs on what it finds, takes them apart again.
constexpr std::array<std::u32string_view, 2> spelled_out = {U"<|startoftext|>", U"<|endoftext|>"};
constexpr std::array<std::u32string_view, 7> contractions = {U"'s", U"'t", U"'re", U"'ve", U"'m", U"'ll", U"'d"};

std::u32string normalize(std::u32string_view text) {
  std::u32string folded;
  bool in_space = false;
  for (const char32_t c : to_nfc(text)) {
    const bool space = is_space(c);
    if (!space)
      folded.push_back(c);
    else if (!in_space)
      folded.push_back(U' ');
    in_space = space;
  }
  return fold_case(folded);
}

template <class Patterns>
std::u32string_view prefix_of(std::u32string_view text, const Patterns& patterns) {
  const auto found = std::find_if(patterns.begin(), patterns.end(), [&](const auto& p) { return text.starts_with(p); });
  return found == patterns.end() ? std::u32string_view() : std::u32string_view(*found);
}

bool is_rest(char32_t c) {
  return !is_space(c) && !is_letter(c) && !is_number(c);
}

template <class Holds>
std::size_t run_of(std::u32string_view text, Holds holds) {
  std::size_t length = 0;
  while (length < text.size() && holds(text[length])) ++length;
  return length;
}

}  // namespace

ClipTokenizer::ClipTokenizer(BytePairs pairs, SpecialTokens special)
    : pairs_(std::move(pairs)), special_(std::move(special)) {
  for (const AddedToken& token : special_.added) {
    const std::u32string content = code_points(token.content);
    (token.normalized ? normalized_ : typed_).push_back({token.normalized ? normalize(content) : content, token.id});
  }
  for (std::vector<Pattern>* patterns : {&typed_, &normalized_}) {
    std::stable_sort(patterns->begin(), patterns->end(),
                     [](const Pattern& a, const Pattern& b) { return a.content.size() > b.content.size(); });
  }
}

ClipTokenizer ClipTokenizer::open(const std::filesystem::path& folder) {
  BytePairs pairs = BytePairs::open(folder, {.word_end = "</w>"});
  SpecialTokens special = SpecialTokens::read(
      folder, pairs, {.begin = start_token, .end = end_token, .pad = end_token, .unknown = end_token});
  return {std::move(pairs), std::move(special)};
}

std::int64_t ClipTokenizer::size() const {
  std::int64_t size = pairs_.size();
  for (const AddedToken& token : special_.added) size = std::max(size, token.id + 1);
  return size;
}

// Calls on_plain for the text between special tokens, in order with what is added for these.
template <class Patterns, class OnPlain>
static void split_at(std::u32string_view text, const Patterns& patterns, std::vector<std::int64_t>& ids,
                     OnPlain on_plain) {
  std::size_t start = 0;
  for (std::size_t i = 0; i < text.size();) {
    const auto found = std::find_if(patterns.begin(), patterns.end(),
                                    [&](const auto& pattern) { return text.substr(i).starts_with(pattern.content); });
    if (found == patterns.end()) {
      ++i;
      continue;
    }
    if (i > start) on_plain(text.substr(start, i - start));
    ids.push_back(found->id);
    start = i += found->content.size();
  }
  if (start < text.size()) on_plain(text.substr(start));
}

void ClipTokenizer::add_plain(std::u32string_view text, std::vector<std::int64_t>& ids) const {
  const auto add = [&](std::u32string_view word) {
    const std::vector<std::int64_t> pieces = pairs_.encode(to_utf8(word));
    ids.insert(ids.end(), pieces.begin(), pieces.end());
  };
  while (!text.empty()) {
    std::size_t taken = 1;
    if (const std::u32string_view spelled = prefix_of(text, spelled_out); !spelled.empty()) {
      taken = spelled.size();
      add(spelled.substr(0, 2));
      add(spelled.substr(2, taken - 4));
      add(spelled.substr(taken - 2));
    } else if (const std::u32string_view contraction = prefix_of(text, contractions); !contraction.empty()) {
      taken = contraction.size();
      add(contraction);
    } else if (is_letter(text.front())) {
      taken = run_of(text, is_letter);
      add(text.substr(0, taken));
    } else if (is_number(text.front())) {
      add(text.substr(0, 1));
    } else if (!is_space(text.front())) {
      taken = run_of(text, is_rest);
      add(text.substr(0, taken));
    }
    text.remove_prefix(taken);
  }
}

void ClipTokenizer::add_normalized(std::u32string_view text, std::vector<std::int64_t>& ids) const {
  split_at(normalize(text), normalized_, ids, [&](std::u32string_view plain) { add_plain(plain, ids); });
}

TokenIds ClipTokenizer::encode(std::string_view text, std::int64_t length) const {
  if (const std::size_t at = invalid_utf8_at(text); at != std::string_view::npos) {
    throw UsageError(fmt::format("the prompt is not valid UTF-8 at byte {}", at), "save or type it as UTF-8");
  }
  TokenIds result;
  result.ids.push_back(special_.begin.id);
  split_at(code_points(text), typed_, result.ids, [&](std::u32string_view part) { add_normalized(part, result.ids); });
  const auto room = static_cast<std::size_t>(length - 1);  // the last id is always the end
  if (result.ids.size() > room) {
    result.dropped = static_cast<std::int64_t>(result.ids.size() - room);
    result.ids.resize(room);
  }
  result.ids.push_back(special_.end.id);
  result.ids.resize(static_cast<std::size_t>(length), special_.pad.id);
  return result;
}

}  // namespace bitreel
