#include "schedulers/precision/ranges.h"

#include <fmt/format.h>

#include <optional>

#include "base/error.h"
#include "base/number_text.h"

namespace bitreel {
namespace {

std::optional<std::int64_t> index_from(std::string_view text) {
  const std::optional<std::int64_t> value = number_from<std::int64_t>(text);
  return value && *value >= 0 ? value : std::nullopt;
}

}  // namespace

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0;;) {
    const std::size_t end = text.find(separator, begin);
    parts.push_back(text.substr(begin, end == std::string_view::npos ? end : end - begin));
    if (end == std::string_view::npos) return parts;
    begin = end + 1;
  }
}

Range range_from(std::string_view text, const std::string& where) {
  const std::size_t dash = text.find('-');
  const auto first = index_from(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : index_from(text.substr(dash + 1));
  if (!first || !last)
    throw UsageError(fmt::format("{}: \"{}\" is no number or range, expected one such as 7 or 3-5", where, text));
  if (*last < *first)
    throw UsageError(fmt::format("{}: the range {} ends before it begins; ranges do not wrap around", where, text),
                     fmt::format("{}-{}, or two ranges", *last, *first));
  return {.first = *first, .last = *last};
}

void check_within(const Range& range, std::string_view what, std::int64_t count, const std::string& where) {
  if (range.last >= count)
    throw UsageError(
        fmt::format("{}: there is no {}, the {} {} are 0 to {}", where, range.last, count, what, count - 1));
}

std::vector<std::string> texts_of(const std::vector<std::int64_t>& numbers) {
  std::vector<std::string> texts;
  for (std::size_t begin = 0, end = 0; begin < numbers.size(); begin = end) {
    for (end = begin + 1; end < numbers.size() && numbers[end] == numbers[end - 1] + 1;) ++end;
    const std::int64_t first = numbers[begin], last = numbers[end - 1];
    texts.push_back(first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last));
  }
  return texts;
}

}  // namespace bitreel
