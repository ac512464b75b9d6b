// What --config reads, printed and read again: the same settings.
#include "app/options.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bitreel;
  static const fuzz::Folder folder;
  const auto path = folder.write("clip.yaml", fuzz::text_of(data, size));
  return fuzz::refused_or_read([&] {
    GenerateOptions options;
    apply_yaml(options, path);
    const std::string printed = to_yaml(options);
    GenerateOptions again;
    apply_yaml(again, folder.write("again.yaml", printed));
    if (to_yaml(again) != printed) std::abort();
  });
}
