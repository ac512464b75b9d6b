// Report pages that open from a disk: one HTML file with its style, its scripts and its data inside.
//
//   write_whole("out/index.html", html_page(embedded::compare_html, {{"compare.js", embedded::compare_js}}, report));
//
// In the page, {{NAME}} stands for a part and {{data}} for the data, as JSON in a script element: no text in it,
// prompts for instance, can end the element or start another. Every part that the page names must be given, and once.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace bitreel {

// The files of app/reports/page/, by their names with _ for . (cmake/embed_text.cmake).
namespace embedded {
extern const std::string_view compare_html, compare_js, head_html, report_css, report_js;
}  // namespace embedded

// head.html, report.css and report.js are parts of every page.
std::string html_page(std::string_view page, std::map<std::string, std::string_view> parts,
                      const nlohmann::ordered_json& data);

}  // namespace bitreel
