#include "base/readable_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace bitreel {
namespace {

using nlohmann::ordered_json;

std::string on_one_line(const ordered_json& value) {
  return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

bool is_row(const ordered_json& value) {
  return value.is_array() && std::ranges::none_of(value, [](const ordered_json& x) { return x.is_structured(); });
}

class Printer {
 public:
  explicit Printer(std::size_t most_bytes) : most_bytes_(most_bytes) {}

  void print(const ordered_json& value, std::size_t depth) {
    if (!value.is_structured() || value.empty()) return add(on_one_line(value));
    if (is_row(value)) return print_row(value);
    std::string line(depth + 1, ' ');
    line.front() = '\n';
    const char* separator = "";
    add(value.is_object() ? "{" : "[");
    for (const auto& [key, entry] : value.items()) {
      if (cut_) return;
      add(separator);
      add(line);
      add(" ");
      if (value.is_object()) add(on_one_line(key) + ": ");
      print(entry, depth + 1);
      separator = ",";
    }
    add(line);
    add(value.is_object() ? "}" : "]");
  }

  [[nodiscard]] std::string text() const {
    return text_ + (cut_ ? fmt::format("\n... (cut after {} bytes)\n", most_bytes_) : "\n");
  }

 private:
  void print_row(const ordered_json& values) {
    add("[");
    for (std::size_t i = 0; i < values.size() && !cut_; ++i) {
      if (i > 0) add(", ");
      add(on_one_line(values[i]));
    }
    add("]");
  }

  void add(std::string_view part) {
    if (cut_) return;
    const std::size_t room = most_bytes_ - text_.size();
    cut_ = part.size() > room;
    text_ += part.substr(0, room);
  }

  std::size_t most_bytes_;
  std::string text_;
  bool cut_ = false;
};

}  // namespace

std::string readable_json(const ordered_json& value, std::size_t most_bytes) {
  Printer printer(most_bytes);
  printer.print(value, 0);
  return printer.text();
}

}  // namespace bitreel
