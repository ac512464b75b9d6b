#include "app/reports/html_page.h"

#include <fmt/format.h>

#include "base/error.h"

namespace bitreel {
namespace {

// Within HTML's script element only < can begin something else; JSON lets every character be written by number.
std::string json_for_script(const nlohmann::ordered_json& data) {
  std::string safe;
  for (const char c : data.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)) {
    if (c == '<') {
      safe += "\\u003c";
    } else {
      safe += c;
    }
  }
  return safe;
}

}  // namespace

std::string html_page(std::string_view page, std::map<std::string, std::string_view> parts,
                      const nlohmann::ordered_json& data) {
  const std::string json = json_for_script(data);
  parts.insert({{"head.html", embedded::head_html},
                {"report.css", embedded::report_css},
                {"report.js", embedded::report_js},
                {"data", json}});
  std::string filled;
  while (true) {
    const std::size_t open = page.find("{{");
    filled += page.substr(0, open);
    if (open == std::string_view::npos) return filled;
    const std::size_t close = page.find("}}", open);
    const auto part = parts.find(std::string(page.substr(open + 2, close - open - 2)));
    if (close == std::string_view::npos || part == parts.end()) {
      throw Error(fmt::format("the page has no part for {}", page.substr(open, close - open)));
    }
    filled += part->second;
    page.remove_prefix(close + 2);
  }
}

}  // namespace bitreel
