// A text that is a number and nothing else.
//
//   number_from<std::int64_t>("12").value();      // 12
//   number_from<double>("1e-3").value();          // 0.001
//
// Nothing for "", "12 ", "+12", "x", and for numbers that the type does not hold.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace bitreel {

template <class Number>
std::optional<Number> number_from(std::string_view text) {
  Number value{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

}  // namespace bitreel
