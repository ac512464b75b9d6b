#include "pipelines/text/piece_model.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <cstdint>
#include <string_view>

#include "base/error.h"

namespace bitreel {
namespace {

using nlohmann::json;

// Protobuf's wire format, as far as ModelProto needs it.
class Message {
 public:
  void varint(int field, std::uint64_t value) {
    key(field, 0);
    raw_varint(value);
  }
  void real(int field, float value) {
    key(field, 5);
    const auto bits = std::bit_cast<std::uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8) bytes_.push_back(static_cast<char>(bits >> shift & 0xff));
  }
  void text(int field, std::string_view value) {
    key(field, 2);
    raw_varint(value.size());
    bytes_.append(value);
  }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  void key(int field, int wire_type) {
    raw_varint(static_cast<std::uint64_t>(field) << 3 | static_cast<unsigned>(wire_type));
  }
  void raw_varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_.push_back(static_cast<char>(value | 0x80));
    bytes_.push_back(static_cast<char>(value));
  }
  std::string bytes_;
};

std::string decode_base64(std::string_view text) {
  std::string bytes;
  std::uint32_t buffer = 0;
  int bits = 0;
  for (const char c : text) {
    std::uint32_t digit = 0;
    if (c >= 'A' && c <= 'Z')
      digit = static_cast<std::uint32_t>(c - 'A');
    else if (c >= 'a' && c <= 'z')
      digit = static_cast<std::uint32_t>(c - 'a') + 26;
    else if (c >= '0' && c <= '9')
      digit = static_cast<std::uint32_t>(c - '0') + 52;
    else if (c == '+')
      digit = 62;
    else if (c == '/')
      digit = 63;
    else
      break;
    buffer = buffer << 6 | digit;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes.push_back(static_cast<char>(buffer >> bits & 0xff));
    }
  }
  return bytes;
}

// The charsmap of the Precompiled normalizer, wherever it stands in a sequence; empty when there is none.
std::string charsmap_of(const json& normalizer) {
  if (!normalizer.is_object()) return {};
  if (normalizer.value("type", "") == "Precompiled") return decode_base64(normalizer.value("precompiled_charsmap", ""));
  for (const json& step : normalizer.value("normalizers", json::array())) {
    if (std::string map = charsmap_of(step); !map.empty()) return map;
  }
  return {};
}

enum PieceType : std::uint64_t { normal = 1, unknown = 2, control = 3 };

}  // namespace

std::string piece_model_from_json(const json& tokenizer, const std::string& file) {
  const json model = tokenizer.is_object() ? tokenizer.value("model", json::object()) : json::object();
  if (model.value("type", "Unigram") != "Unigram" || !model.contains("vocab") || !model["vocab"].is_array()) {
    throw Error(fmt::format("{}: holds no unigram model with a vocab list", file), "CogVideoX uses a T5 tokenizer");
  }
  const auto unknown_id = model.value("unk_id", std::int64_t{2});
  Message proto;
  std::int64_t id = 0;
  for (const json& entry : model["vocab"]) {
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number()) {
      throw Error(fmt::format("{}: vocab entry {} is not a [piece, score] pair", file, id));
    }
    const auto name = entry[0].get<std::string>();
    Message piece;
    piece.text(1, name);
    piece.real(2, entry[1].get<float>());
    // Special tokens are matched before segmentation and must not be found inside words.
    const bool special = name.size() > 2 && name.front() == '<' && name.back() == '>';
    piece.varint(3, id == unknown_id ? unknown : special ? control : normal);
    proto.text(1, piece.bytes());
    ++id;
  }
  Message trainer;
  trainer.varint(3, 1);  // model_type: unigram
  proto.text(2, trainer.bytes());
  Message normalizer;
  normalizer.text(2, charsmap_of(tokenizer.value("normalizer", json())));
  for (const int field : {3, 4, 5}) normalizer.varint(field, 1);  // dummy prefix, trimmed and escaped whitespace
  proto.text(3, normalizer.bytes());
  return proto.bytes();
}

}  // namespace bitreel
