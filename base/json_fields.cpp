#include "base/json_fields.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"

namespace bitreel {

JsonFields::JsonFields(const nlohmann::json& json, std::string file) : json_(json), file_(std::move(file)) {
  if (!json_.is_object()) throw Error(fmt::format("{}: holds a JSON {}, expected an object", file_, json_.type_name()));
}

const nlohmann::json* JsonFields::find(const std::string& key) const {
  const auto found = json_.find(key);
  return found == json_.end() || found->is_null() ? nullptr : &*found;
}

void JsonFields::fail(const std::string& key, const nlohmann::json& value, const std::string& expected) const {
  std::string shown = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  if (shown.size() > 60) shown = shown.substr(0, 57) + "...";
  throw Error(fmt::format("{}: {} is {}, expected {}", file_, key, shown, expected));
}

std::int64_t JsonFields::to_integer(const std::string& key, const nlohmann::json& value, IntegerRange range) const {
  const auto expected = [&] { return fmt::format("a whole number from {} to {}", range.least, range.most); };
  if (!value.is_number_integer()) fail(key, value, expected());
  // An unsigned value past int64 would wrap on conversion.
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) {
    fail(key, value, expected());
  }
  const auto number = value.get<std::int64_t>();
  if (number < range.least || number > range.most) fail(key, value, expected());
  return number;
}

std::int64_t JsonFields::integer(const std::string& key, std::int64_t fallback, IntegerRange range) const {
  const nlohmann::json* value = find(key);
  return value ? to_integer(key, *value, range) : fallback;
}

std::optional<std::int64_t> JsonFields::optional_integer(const std::string& key, IntegerRange range) const {
  const nlohmann::json* value = find(key);
  return value ? std::optional(to_integer(key, *value, range)) : std::nullopt;
}

std::vector<std::int64_t> JsonFields::integers(const std::string& key, const std::vector<std::int64_t>& fallback,
                                               IntegerRange range) const {
  const nlohmann::json* value = find(key);
  if (!value) return fallback;
  if (!value->is_array() || value->empty() || value->size() > 64) fail(key, *value, "a list of 1 to 64 whole numbers");
  std::vector<std::int64_t> numbers;
  for (const nlohmann::json& element : *value) numbers.push_back(to_integer(key, element, range));
  return numbers;
}

double JsonFields::real(const std::string& key, double fallback, RealRange range) const {
  const nlohmann::json* value = find(key);
  if (!value) return fallback;
  if (!value->is_number() || value->get<double>() < range.least || value->get<double>() > range.most) {
    fail(key, *value, fmt::format("a number from {} to {}", range.least, range.most));
  }
  return value->get<double>();
}

bool JsonFields::boolean(const std::string& key, bool fallback) const {
  const nlohmann::json* value = find(key);
  if (!value) return fallback;
  if (!value->is_boolean()) fail(key, *value, "true or false");
  return value->get<bool>();
}

std::size_t JsonFields::choice(const std::string& key, const std::string& fallback,
                               const std::vector<std::string>& choices) const {
  const nlohmann::json* value = find(key);
  const std::string name = value == nullptr ? fallback : value->is_string() ? value->get<std::string>() : "";
  const auto found = std::find(choices.begin(), choices.end(), name);
  if (found == choices.end()) fail(key, *value, fmt::format("one of {}", fmt::join(choices, ", ")));
  return static_cast<std::size_t>(found - choices.begin());
}

}  // namespace bitreel
