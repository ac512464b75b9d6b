// The config.json of each part of a model.
#include "base/json_text.h"
#include "pipelines/cogvideox/config.h"
#include "pipelines/text/t5.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bitreel;
  const std::string text = fuzz::text_of(data, size);
  const auto read = [&](auto reader) { fuzz::refused_or_read([&] { (void)reader(parse_json(text, "config.json")); }); };
  read(read_transformer_config);
  read(read_vae_config);
  read(read_t5_config);
  return 0;
}
