// CLIP's clip_tokenizer/ folder, and the ids that it makes of a text.
#include "pipelines/text/clip_tokenizer.h"

#include "tests/fuzz/byte_pair_folder.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bitreel;
  static const fuzz::Folder folder;
  static const std::string entries = fuzz::entries_of_all_bytes("</w>");
  const std::string input = fuzz::text_of(data, size);
  const std::string_view text = fuzz::write_byte_pair_folder(folder, input, entries);
  return fuzz::refused_or_read([&] {
    const ClipTokenizer tokenizer = ClipTokenizer::open(folder.path());
    const TokenIds tokens = tokenizer.encode(text, 16);
    if (tokens.ids.size() != 16) std::abort();
    for (const std::int64_t id : tokens.ids) {
      if (id < 0 || id >= tokenizer.size()) std::abort();
    }
  });
}
