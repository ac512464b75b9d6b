// Reads the keys of a JSON configuration with types and bounds, so that an absurd value is one clear error.
//
//   const JsonFields fields(config, "transformer/config.json");
//   const int64_t layers = fields.integer("num_layers", 30, {1, 512});
//   // transformer/config.json: num_layers is "thirty", expected a whole number from 1 to 512
//
// A key that is absent or null takes the default.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace bitreel {

struct IntegerRange {
  std::int64_t least;
  std::int64_t most;
};

struct RealRange {
  double least;
  double most;
};

class JsonFields {
 public:
  // Throws Error unless `json` is an object. `file` names it in messages.
  JsonFields(const nlohmann::json& json, std::string file);

  [[nodiscard]] std::int64_t integer(const std::string& key, std::int64_t fallback, IntegerRange range) const;
  [[nodiscard]] std::optional<std::int64_t> optional_integer(const std::string& key, IntegerRange range) const;
  [[nodiscard]] std::vector<std::int64_t> integers(const std::string& key, const std::vector<std::int64_t>& fallback,
                                                   IntegerRange range) const;
  [[nodiscard]] double real(const std::string& key, double fallback, RealRange range) const;
  [[nodiscard]] bool boolean(const std::string& key, bool fallback) const;
  // The position of the value in `choices`.
  [[nodiscard]] std::size_t choice(const std::string& key, const std::string& fallback,
                                   const std::vector<std::string>& choices) const;

 private:
  [[nodiscard]] const nlohmann::json* find(const std::string& key) const;
  [[nodiscard]] std::int64_t to_integer(const std::string& key, const nlohmann::json& value, IntegerRange range) const;
  [[noreturn]] void fail(const std::string& key, const nlohmann::json& value, const std::string& expected) const;

  const nlohmann::json& json_;
  std::string file_;
};

}  // namespace bitreel
