// JSON for files that people read too: one row of numbers or names per line instead of one number.
//
//   const nlohmann::ordered_json report = {{"name", "pocket"}, {"rows", {{1, 2}, {3, 4}}}};
//   write_whole("report.json", readable_json(report));
//   // {
//   //  "name": "pocket",
//   //  "rows": [
//   //   [1, 2],
//   //   [3, 4]
//   //  ]
//   // }
//
// Ends in a newline. Text that isn't UTF-8 must not cost a file: its bad bytes become U+FFFD.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace bitreel {

std::string readable_json(const nlohmann::ordered_json& value);

}  // namespace bitreel
