// A precision plan, and the one-line plans of --attention.
#include "schedulers/precision/attention_choice.h"
#include "schedulers/precision/plan_file.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bitreel;
  const std::string text = fuzz::text_of(data, size);
  fuzz::refused_or_read([&] {
    const Plan plan = plan_from_yaml(text, "plan.yaml");
    if (to_yaml(plan_from_yaml(to_yaml(plan), "again.yaml")) != to_yaml(plan)) std::abort();
  });
  return fuzz::refused_or_read([&] {
    if (!names_plan_file(text)) (void)parse_attention(text);
  });
}
