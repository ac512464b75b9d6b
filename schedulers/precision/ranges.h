// Numbers of layers or steps as people write them: "7", "0-2", several of them.
//
//   const Range range = range_from("3-5", "plan.yaml:7: steps");   // {3, 5}
//   const std::vector<std::string> texts = texts_of({0, 3, 4, 5});  // {"0", "3-5"}
//
// Both ends belong to a range. Errors: UsageError beginning with `where`: no number, reversed (5-3), too large.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bitreel {

struct Range {
  std::int64_t first = 0;
  std::int64_t last = 0;
  friend bool operator==(const Range&, const Range&) = default;
};

// The parts between separators; one, empty, of an empty text.
std::vector<std::string_view> split(std::string_view text, char separator);

Range range_from(std::string_view text, const std::string& where);

// Throws UsageError unless the range ends below `count` ("layers", 12).
void check_within(const Range& range, std::string_view what, std::int64_t count, const std::string& where);

// The fewest ranges that hold exactly these numbers, which must rise.
std::vector<std::string> texts_of(const std::vector<std::int64_t>& numbers);

}  // namespace bitreel
