#include "app/batch/setting_values.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "app/options.h"
#include "base/error.h"
#include "base/nearest.h"

namespace bitreel {
namespace {

std::vector<std::string> all_keys() {
  std::vector<std::string> keys = {"name"};
  for (const Setting& setting : settings()) keys.push_back(setting.key());
  return keys;
}

}  // namespace

void check_job_key(const std::string& key, const std::string& where) {
  static const std::vector<std::string> keys = all_keys();
  if (std::ranges::find(keys, key) != keys.end()) return;
  const std::string meant = nearest(key, keys);
  throw UsageError(fmt::format("{}: unknown key {}", where, key),
                   meant.empty()
                       ? fmt::format("keys are generate's flags with _ for -, and name: {}", fmt::join(keys, ", "))
                       : fmt::format("did you mean {}?", meant));
}

}  // namespace bitreel
