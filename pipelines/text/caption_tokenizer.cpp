#include "pipelines/text/caption_tokenizer.h"

#include <algorithm>

#include "pipelines/text/utf8.h"

namespace bitreel {

CaptionTokenizer CaptionTokenizer::open(const std::filesystem::path& folder) {
  constexpr const char* end = "<|endoftext|>";
  BytePairs pairs = BytePairs::open(folder, {});
  SpecialTokens special = SpecialTokens::read(folder, pairs, {.begin = end, .end = end, .pad = {}, .unknown = end});
  return {std::move(pairs), std::move(special)};
}

std::string CaptionTokenizer::decode(const std::vector<std::int64_t>& ids) const {
  std::string bytes;
  for (const std::int64_t id : ids) {
    const auto added = std::find_if(special_.added.begin(), special_.added.end(),
                                    [&](const AddedToken& token) { return token.id == id; });
    if (added == special_.added.end())
      bytes += pairs_.bytes_of(id);
    else if (!added->special)
      bytes += token_bytes(added->content);
  }
  return with_replacements(bytes);
}

}  // namespace bitreel
