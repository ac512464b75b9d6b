#include "app/flag_names.h"

#include <algorithm>

namespace bitreel {
namespace {

bool is_field(std::string_view name) {
  return !name.empty() && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string_view::npos;
}

std::string flag_of(std::string field) {
  std::ranges::replace(field, '_', '-');
  return "--" + field;
}

}  // namespace

std::string with_flags(std::string_view text) {
  std::string shown;
  while (!text.empty()) {
    const std::size_t open = std::min(text.find('`'), text.size());
    shown += text.substr(0, open);
    text.remove_prefix(open);
    const std::size_t close = text.find('`', 1);
    if (close == std::string_view::npos) break;
    const std::string_view field = text.substr(1, close - 1);
    if (is_field(field)) {
      shown += flag_of(std::string(field));
      text.remove_prefix(close + 1);
    } else {
      shown += text.substr(0, close);
      text.remove_prefix(close);  // which may open a field
    }
  }
  return shown.append(text);
}

}  // namespace bitreel
