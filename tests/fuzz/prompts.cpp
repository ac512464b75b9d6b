// A file of prompts, as JSON and as text.
#include "app/files/prompts_file.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bitreel;
  static const fuzz::Folder folder;
  for (const char* name : {"prompts.json", "prompts.txt"}) {
    const auto path = folder.write(name, fuzz::text_of(data, size));
    fuzz::refused_or_read([&] { (void)read_prompts(path); });
  }
  return 0;
}
