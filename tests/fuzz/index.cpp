// model.safetensors.index.json beside two shards.
#include <ATen/ATen.h>

#include "pipelines/checkpoint/weights.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bitreel;
  static const fuzz::Folder folder;
  static const bool written = [] {
    write_safetensors(folder.path() / "1.safetensors", {{"a", at::ones({2})}}, {});
    write_safetensors(folder.path() / "2.safetensors", {{"b", at::ones({2})}}, {});
    return true;
  }();
  (void)written;
  folder.write("model.safetensors.index.json", fuzz::text_of(data, size));
  return fuzz::refused_or_read([&] {
    const Weights weights = Weights::open(folder.path());
    for (const std::string& name : weights.names()) (void)weights.get(name, {2});
  });
}
