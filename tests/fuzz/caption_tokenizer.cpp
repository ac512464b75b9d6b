// GPT-2's text_tokenizer/ folder, and the text that it makes of ids, one for each two bytes.
#include "pipelines/text/caption_tokenizer.h"

#include "base/utf8.h"
#include "tests/fuzz/byte_pair_folder.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bitreel;
  static const fuzz::Folder folder;
  static const std::string entries = fuzz::entries_of_all_bytes("");
  const std::string input = fuzz::text_of(data, size);
  const std::string_view rest = fuzz::write_byte_pair_folder(folder, input, entries);
  return fuzz::refused_or_read([&] {
    const CaptionTokenizer tokenizer = CaptionTokenizer::open(folder.path());
    std::vector<std::int64_t> ids = {tokenizer.end_id()};
    for (std::size_t i = 0; i + 1 < rest.size(); i += 2) {
      ids.push_back(static_cast<unsigned char>(rest[i]) * 256 + static_cast<unsigned char>(rest[i + 1]));
    }
    if (invalid_utf8_at(tokenizer.decode(ids)) != std::string_view::npos) std::abort();
  });
}
