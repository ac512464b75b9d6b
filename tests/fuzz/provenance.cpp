// A video's comment or a sidecar, as info shows it: bounded, and nothing that a terminal obeys.
#include "base/json_text.h"
#include "base/printable.h"
#include "base/readable_json.h"
#include "base/utf8.h"
#include "pipelines/video/output.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bitreel;
  constexpr std::size_t most = 4096;
  const std::string text = fuzz::text_of(data, size);
  const auto json = parse_json_if_any<nlohmann::ordered_json>(text);
  (void)is_provenance(json);
  const std::string shown = printable_lines(json.is_discarded() ? text : readable_json(json, most));
  if (!json.is_discarded() && shown.size() > 8 * most) std::abort();
  if (invalid_utf8_at(shown) != std::string_view::npos || shown.find('\033') != std::string::npos) std::abort();
  return 0;
}
