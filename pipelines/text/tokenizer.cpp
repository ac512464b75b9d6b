#include "pipelines/text/tokenizer.h"

#include <fmt/format.h>
#include <sentencepiece_processor.h>

#include <algorithm>
#include <exception>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/input_file.h"
#include "base/json_file.h"
#include "pipelines/text/piece_model.h"
#include "pipelines/text/utf8.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::int64_t pad_id = 0;
constexpr std::int64_t end_id = 1;
constexpr std::int64_t unknown_id = 2;
constexpr int extra_ids = 100;  // <extra_id_0> has the highest id of the vocabulary

std::vector<std::pair<std::string, std::int64_t>> default_special_tokens(std::int64_t pieces) {
  std::vector<std::pair<std::string, std::int64_t>> tokens = {
      {"<pad>", pad_id}, {"</s>", end_id}, {"<unk>", unknown_id}};
  for (int i = 0; i < extra_ids; ++i) tokens.emplace_back(fmt::format("<extra_id_{}>", i), pieces + extra_ids - 1 - i);
  return tokens;
}

// SentencePiece's trie throws where the rest returns a status, for an empty piece for one.
sentencepiece::util::Status loaded(sentencepiece::SentencePieceProcessor& pieces, const std::string& model) {
  try {
    return pieces.LoadFromSerializedProto(model);
  } catch (const std::exception& error) {
    return {sentencepiece::util::StatusCode::kInternal, error.what()};
  }
}

}  // namespace

T5Tokenizer::T5Tokenizer() : pieces_(std::make_unique<sentencepiece::SentencePieceProcessor>()) {}
T5Tokenizer::T5Tokenizer(T5Tokenizer&&) noexcept = default;
T5Tokenizer& T5Tokenizer::operator=(T5Tokenizer&&) noexcept = default;
T5Tokenizer::~T5Tokenizer() = default;

T5Tokenizer T5Tokenizer::open(const fs::path& folder) {
  T5Tokenizer tokenizer;
  const fs::path model_path = folder / "spiece.model";
  const fs::path json_path = folder / "tokenizer.json";
  sentencepiece::util::Status status;
  if (fs::exists(model_path)) {
    status = loaded(*tokenizer.pieces_, read_file(model_path, {.expected = "a tokenizer model"}));
    if (status.ok()) tokenizer.special_tokens_ = default_special_tokens(tokenizer.pieces_->GetPieceSize());
  } else if (fs::exists(json_path)) {
    const json parsed = read_json(json_path);
    try {
      status = loaded(*tokenizer.pieces_, piece_model_from_json(parsed, json_path.string()));
      for (const json& added : parsed.value("added_tokens", json::array())) {
        tokenizer.special_tokens_.emplace_back(added.at("content").get<std::string>(),
                                               added.at("id").get<std::int64_t>());
      }
    } catch (const json::exception& error) {
      throw Error(fmt::format("{}: malformed: {}", json_path.string(), error.what()),
                  "download the tokenizer folder again");
    }
  } else {
    throw Error(fmt::format("{}: holds neither spiece.model nor tokenizer.json", folder.string()),
                "download the tokenizer folder");
  }
  if (!status.ok()) {
    const fs::path& broken = fs::exists(model_path) ? model_path : json_path;
    throw Error(fmt::format("{}: the tokenizer can't be loaded: {}", broken.string(), status.ToString()),
                "download the tokenizer folder again");
  }
  // <extra_id_10> must win over <extra_id_1>.
  std::stable_sort(tokenizer.special_tokens_.begin(), tokenizer.special_tokens_.end(),
                   [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
  return tokenizer;
}

TokenIds T5Tokenizer::encode(std::string_view text, std::int64_t length) const {
  if (const std::size_t at = invalid_utf8_at(text); at != std::string_view::npos) {
    throw UsageError(fmt::format("the prompt is not valid UTF-8 at byte {}", at), "save or type it as UTF-8");
  }
  TokenIds result;
  const auto add_plain = [&](std::string_view part) {
    for (const int id : pieces_->EncodeAsIds({part.data(), part.size()})) result.ids.push_back(id);
  };
  std::size_t start = 0;
  for (std::size_t i = text.find('<'); i != std::string_view::npos;) {
    const auto special = std::find_if(special_tokens_.begin(), special_tokens_.end(),
                                      [&](const auto& token) { return text.substr(i).starts_with(token.first); });
    if (special == special_tokens_.end()) {
      i = text.find('<', i + 1);
      continue;
    }
    add_plain(text.substr(start, i - start));
    result.ids.push_back(special->second);
    start = i + special->first.size();
    i = text.find('<', start);
  }
  add_plain(text.substr(start));

  const auto room = static_cast<std::size_t>(length - 1);  // the last id is always </s>
  if (result.ids.size() > room) {
    result.dropped = static_cast<std::int64_t>(result.ids.size() - room);
    result.ids.resize(room);
  }
  result.ids.push_back(end_id);
  result.ids.resize(static_cast<std::size_t>(length), pad_id);
  return result;
}

}  // namespace bitreel
