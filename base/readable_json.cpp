#include "base/readable_json.h"

#include <algorithm>

namespace bitreel {
namespace {

using nlohmann::ordered_json;

std::string on_one_line(const ordered_json& value) {
  return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

bool is_row(const ordered_json& value) {
  return value.is_array() && std::ranges::none_of(value, [](const ordered_json& x) { return x.is_structured(); });
}

std::string row(const ordered_json& values) {
  std::string text = "[";
  for (const ordered_json& value : values) text += (text.size() > 1 ? ", " : "") + on_one_line(value);
  return text + "]";
}

void append(std::string& text, const ordered_json& value, std::size_t depth) {
  if (!value.is_structured() || value.empty()) {
    text += on_one_line(value);
    return;
  }
  if (is_row(value)) {
    text += row(value);
    return;
  }
  const std::string indent(depth + 1, ' ');
  const char* separator = "\n";
  text += value.is_object() ? '{' : '[';
  for (const auto& [key, entry] : value.items()) {
    text += separator + indent;
    if (value.is_object()) text += on_one_line(key) + ": ";
    append(text, entry, depth + 1);
    separator = ",\n";
  }
  text += '\n' + std::string(depth, ' ');
  text += value.is_object() ? '}' : ']';
}

}  // namespace

std::string readable_json(const ordered_json& value) {
  std::string text;
  append(text, value, 0);
  return text + "\n";
}

}  // namespace bitreel
