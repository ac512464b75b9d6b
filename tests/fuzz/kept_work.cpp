// Latents, finished or not, as decode and resume read them.
#include "app/attention_plan.h"
#include "app/files/latents_file.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bitreel;
  static const fuzz::Folder folder;
  const auto path = folder.write("clip.unfinished.safetensors", fuzz::text_of(data, size));
  return fuzz::refused_or_read([&] {
    const LatentsFile file = read_latents(path);
    GenerateOptions options;
    if (!file.config.is_null()) apply_json(options, file.config, path.string());
    (void)progress_of(file);
  });
}
