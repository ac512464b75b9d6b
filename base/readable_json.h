// JSON that people read too: one row of numbers or names per line instead of one number.
//
//   const nlohmann::ordered_json report = {{"name", "pocket"}, {"rows", {{1, 2}, {3, 4}}}};
//   write_whole("report.json", readable_json(report));
//   print_output(readable_json(report, 65'536));   // what a file from elsewhere says: at most so many bytes of it
//
// The file then holds
//     {
//      "name": "pocket",
//      "rows": [
//       [1, 2],
//       [3, 4]
//      ]
//     }
//
// Ends in a newline. Text that isn't UTF-8 must not cost a file: its bad bytes become U+FFFD. Recursive: JSON from
// outside comes through parse_json (json_text.h), which bounds its depth.
#pragma once

#include <cstddef>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

namespace bitreel {

// Where bytes are left out, the text says so at its end.
std::string readable_json(const nlohmann::ordered_json& value,
                          std::size_t most_bytes = std::numeric_limits<std::size_t>::max());

}  // namespace bitreel
