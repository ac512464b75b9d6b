#include "base/json_text.h"

#include <fmt/format.h>

#include <algorithm>

namespace bitreel {
namespace {

using nlohmann::ordered_json;

std::string dumped(const ordered_json& value) {
  return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

bool holds_plain_values(const ordered_json& list) {
  return std::ranges::none_of(list, [](const ordered_json& value) { return value.is_structured(); });
}

class Printer {
 public:
  explicit Printer(std::size_t most_bytes) : most_bytes_(most_bytes) {}

  void print(const ordered_json& value, std::size_t depth) {
    if (value.is_array() && holds_plain_values(value)) {
      add("[");
      for (std::size_t i = 0; i < value.size() && room(); ++i) add((i == 0 ? "" : ", ") + dumped(value[i]));
      return add("]");
    }
    if (!value.is_structured()) return add(dumped(value));
    const bool object = value.is_object();
    add(object ? "{" : "[");
    bool first = true;
    for (const auto& [key, entry] : value.items()) {
      if (!room()) return;
      add((first ? "\n" : ",\n") + std::string(2 * (depth + 1), ' '));
      if (object) add(dumped(key) + ": ");
      print(entry, depth + 1);
      first = false;
    }
    if (!first) add("\n" + std::string(2 * depth, ' '));
    add(object ? "}" : "]");
  }

  [[nodiscard]] std::string text() const {
    return cut_ ? fmt::format("{}\n... (cut after {} bytes)", text_, most_bytes_) : text_;
  }

 private:
  [[nodiscard]] bool room() const { return !cut_; }
  void add(std::string_view part) {
    if (cut_) return;
    cut_ = part.size() > most_bytes_ - text_.size();
    text_ += part.substr(0, most_bytes_ - text_.size());
  }

  std::size_t most_bytes_;
  std::string text_;
  bool cut_ = false;
};

}  // namespace

bool nests_too_deep(std::string_view text) {
  std::size_t depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > most_json_depth) return true;
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return false;
}

std::string too_deep_text() {
  return fmt::format("nested more than {} deep", most_json_depth);
}

std::string readable_json(const ordered_json& json, std::size_t most_bytes) {
  Printer printer(most_bytes);
  printer.print(json, 0);
  return printer.text();
}

}  // namespace bitreel
