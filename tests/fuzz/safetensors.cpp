// A safetensors file: its header, and every tensor that it then offers.
#include <ATen/ATen.h>

#include "pipelines/checkpoint/finite.h"
#include "pipelines/checkpoint/safetensors.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bitreel;
  static const fuzz::Folder folder;
  const auto path = folder.write("model.safetensors", fuzz::text_of(data, size));
  return fuzz::refused_or_read([&] {
    const SafetensorsFile file = SafetensorsFile::open(path);
    for (const auto& [name, info] : file.tensors()) (void)all_finite(file.tensor(name));
  });
}
