// What bitreel calibrate writes.
#include "schedulers/precision/measurement_file.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bitreel;
  return fuzz::refused_or_read([&] { (void)measurement_from_json(fuzz::text_of(data, size), "measured.json"); });
}
