#include "pipelines/text/special_tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_file.h"
#include "base/number_text.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json object_in(const fs::path& path) {
  if (!fs::exists(path)) return json::object();
  json parsed = read_json(path);
  if (!parsed.is_object()) throw Error(fmt::format("{}: expected a JSON object", path.string()));
  return parsed;
}

// A token as config files write it: a string, or an object with flags.
AddedToken token_from(const json& value) {
  AddedToken token;
  if (value.is_string()) {
    token.content = value.get<std::string>();
    return token;
  }
  token.content = value.at("content").get<std::string>();
  token.special = value.value("special", true);
  token.normalized = value.value("normalized", !token.special);
  for (const char* flag : {"lstrip", "rstrip", "single_word"}) {
    if (value.value(flag, false)) {
      throw Error(fmt::format("token \"{}\": {} is true, expected false", token.content, flag),
                  "this version finds special tokens exactly as they are spelled");
    }
  }
  return token;
}

class Reader {
 public:
  Reader(const fs::path& folder, const BytePairs& pairs) : folder_(folder), pairs_(pairs) {}

  SpecialTokens read(const SpecialTokenDefaults& defaults) {
    const json config = object_in(folder_ / "tokenizer_config.json");
    const json map = object_in(folder_ / "special_tokens_map.json");
    const json whole = object_in(folder_ / "tokenizer.json");
    const json extra = object_in(folder_ / "added_tokens.json");
    const json decoder = config.value("added_tokens_decoder", json::object());
    for (const auto& [content, id] : extra.items()) {
      add_with_id({.content = content, .normalized = true, .special = false}, id);
    }
    for (const auto& [id, value] : decoder.get_ref<const json::object_t&>()) {
      const auto number = number_from<std::int64_t>(id);
      add_with_id(token_from(value), number ? json(*number) : json(id));
    }
    for (const json& value : whole.value("added_tokens", json::array())) {
      add_with_id(token_from(value), value.at("id"));
    }
    const bool flags_known = !decoder.empty() || whole.contains("added_tokens");
    // In the order in which the peer adds them: of two that are spelled alike, the later one's flags count.
    SpecialTokens special;
    const auto named = [&](const char* key, const std::string& fallback) {
      const auto given = [&](const json& file) { return file.contains(key) && !file[key].is_null(); };
      AddedToken token{.content = fallback, .id = 0};
      if (given(map) && decoder.empty())
        token = token_from(map[key]);
      else if (given(config))
        token = token_from(config[key]);
      if (token.content.empty()) return token;
      const auto known = find(token.content);
      token.id = known != tokens_.end() ? known->id : pairs_.id_of(token.content);
      if (token.id < 0) {
        throw Error(fmt::format("{}: {} is \"{}\", which the vocabulary has not", folder_.string(), key, token.content),
                    "download the tokenizer folder again");
      }
      if (flags_known && known != tokens_.end()) token.normalized = known->normalized;
      token.special = true;
      add(token);
      return token;
    };
    special.begin = named("bos_token", defaults.begin);
    special.end = named("eos_token", defaults.end);
    named("unk_token", defaults.unknown);
    special.pad = named("pad_token", defaults.pad);
    special.added = std::move(tokens_);
    return special;
  }

 private:
  std::vector<AddedToken>::iterator find(const std::string& content) {
    return std::find_if(tokens_.begin(), tokens_.end(), [&](const AddedToken& t) { return t.content == content; });
  }

  void add(const AddedToken& token) {
    if (const auto known = find(token.content); known != tokens_.end())
      *known = token;
    else
      tokens_.push_back(token);
    // Texts are searched for all of them at every place; the published tokenizers have less than two hundred.
    constexpr std::size_t most = 4096;
    if (tokens_.size() > most) throw Error(fmt::format("{}: more than {} added tokens", folder_.string(), most));
  }

  void add_with_id(AddedToken token, const json& id) {
    if (token.content.empty()) {
      throw Error(fmt::format("{}: an added token, of id {}, is empty", folder_.string(), id.dump()),
                  "download the tokenizer folder again");
    }
    token.id = token_id(id, token.content, folder_.string());
    add(token);
  }

  const fs::path& folder_;
  const BytePairs& pairs_;
  std::vector<AddedToken> tokens_;
};

}  // namespace

SpecialTokens SpecialTokens::read(const fs::path& folder, const BytePairs& pairs,
                                  const SpecialTokenDefaults& defaults) {
  try {
    return Reader(folder, pairs).read(defaults);
  } catch (const json::exception& error) {
    throw Error(fmt::format("{}: a tokenizer file is malformed: {}", folder.string(), error.what()),
                "download the tokenizer folder again");
  }
}

}  // namespace bitreel
