// tokenizer.json, and what it makes of a prompt.
#include "pipelines/text/tokenizer.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bitreel;
  static const fuzz::Folder folder;
  folder.write("tokenizer.json", fuzz::text_of(data, size));
  return fuzz::refused_or_read(
      [&] { (void)T5Tokenizer::open(folder.path()).encode("a red circle<extra_id_7> moves", 16); });
}
