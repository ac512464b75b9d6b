#include "app/batch/prompt_rows.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "base/error.h"
#include "base/input_file.h"
#include "base/json_text.h"

namespace bitreel {
namespace {

using nlohmann::ordered_json;

constexpr std::uintmax_t most_prompts_bytes = std::uintmax_t{16} << 20;

// What bitreel judge compares a clip with; nothing that generate is told.
const std::set<std::string> of_the_judge = {"objects", "background"};

std::vector<JobRow> rows_of_text(const std::string& text, const std::string& name) {
  std::vector<JobRow> rows;
  std::size_t line = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string prompt = text.substr(begin, end - begin);
    begin = end + 1;
    ++line;
    if (prompt.ends_with('\r')) prompt.pop_back();
    if (prompt.empty()) continue;
    const std::string where = fmt::format("{}:{}", name, line);
    rows.push_back({.where = where, .settings = {{.key = "prompt", .texts = {std::move(prompt)}, .where = where}}});
  }
  return rows;
}

// Reads RFC 4180 row by row.
class Csv {
 public:
  Csv(std::string_view text, std::string name) : text_(text), name_(std::move(name)) {}

  [[nodiscard]] bool at_end() const { return at_ == text_.size(); }
  [[nodiscard]] std::string where() const { return fmt::format("{}:{}", name_, line_); }

  std::vector<std::string> row() {
    std::vector<std::string> cells(1);
    while (!at_end()) {
      const char c = text_[at_++];
      if (c == '"' && cells.back().empty()) {
        quoted(cells.back());
      } else if (c == ',') {
        cells.emplace_back();
      } else if (c == '\n') {
        ++line_;
        break;
      } else if (c != '\r' || (!at_end() && text_[at_] != '\n')) {
        cells.back() += c;
      }
    }
    return cells;
  }

 private:
  // From behind the opening quote to behind the closing one; two quotes are one of the text.
  void quoted(std::string& cell) {
    const std::string opened = where();
    while (!at_end()) {
      const char c = text_[at_++];
      if (c == '"') {
        if (at_end() || text_[at_] != '"') return;
        ++at_;
      }
      if (c == '\n') ++line_;
      cell += c;
    }
    throw UsageError(fmt::format("{}: the quote that opens here is never closed", opened));
  }

  std::string_view text_;
  std::string name_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
};

std::vector<JobRow> rows_of_csv(std::string_view text, const std::string& name) {
  constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";  // spreadsheets write one
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  Csv csv(text, name);
  const std::string first = csv.where();
  const std::vector<std::string> keys = csv.row();
  std::set<std::string> seen;
  for (const std::string& key : keys) {
    check_job_key(key, first);
    if (!seen.insert(key).second) throw UsageError(fmt::format("{}: two columns are called {}", first, key));
  }
  std::vector<JobRow> rows;
  while (!csv.at_end()) {
    JobRow row{.where = csv.where(), .settings = {}};
    const std::vector<std::string> cells = csv.row();
    if (cells.size() == 1 && cells.front().empty()) continue;
    if (cells.size() != keys.size()) {
      throw UsageError(
          fmt::format("{}: {} cells, expected {}: {}", row.where, cells.size(), keys.size(), fmt::join(keys, ", ")),
          "a cell that holds a comma is quoted: \"a red circle, moving right\"");
    }
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (!cells[i].empty()) row.settings.push_back({.key = keys[i], .texts = {cells[i]}, .where = row.where});
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string json_text(const ordered_json& value, const std::string& where, const std::string& key) {
  if (value.is_structured() || value.is_null()) {
    throw UsageError(fmt::format("{}: {} is {}, expected one value or a list of values", where, key,
                                 value.is_null() ? "null" : "a list or an object"));
  }
  return value.is_string() ? value.get<std::string>() : value.dump();
}

JobRow row_of_json(const ordered_json& entry, const std::string& where) {
  JobRow row{.where = where, .settings = {}};
  if (entry.is_string()) {
    row.settings.push_back({.key = "prompt", .texts = {entry.get<std::string>()}, .where = where});
    return row;
  }
  if (!entry.is_object()) throw UsageError(fmt::format("{} is neither a prompt nor an object of settings", where));
  for (const auto& [key, value] : entry.items()) {
    if (of_the_judge.contains(key)) continue;
    check_job_key(key, where);
    SettingValues values{.key = key, .texts = {}, .where = where};
    if (value.is_array()) {
      for (const auto& one : value) values.texts.push_back(json_text(one, where, key));
    } else {
      values.texts.push_back(json_text(value, where, key));
    }
    row.settings.push_back(std::move(values));
  }
  return row;
}

std::vector<JobRow> rows_of_json(const std::string& text, const std::string& name) {
  if (nests_too_deep(text)) throw UsageError(fmt::format("{}: {}", name, too_deep_text()));
  std::vector<std::set<std::string>> keys;
  const auto watch = [&](int /*depth*/, ordered_json::parse_event_t event, ordered_json& parsed) {
    using Event = ordered_json::parse_event_t;
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key && !keys.back().insert(parsed.get<std::string>()).second) {
      throw UsageError(fmt::format("{}: {} is given twice in one object", name, parsed.dump()));
    }
    return true;
  };
  ordered_json json;
  try {
    json = ordered_json::parse(text, watch);
  } catch (const ordered_json::exception& error) {  // the library's own type: translated where the file's name is known
    throw UsageError(fmt::format("{}: not valid JSON: {}", name, error.what()));
  }
  if (!json.is_array()) {
    throw UsageError(fmt::format("{} is not a JSON list", name),
                     R"(it holds ["a red circle moves right", {"prompt": "a blue star", "seed": 7}, ...])");
  }
  std::vector<JobRow> rows;
  for (const auto& entry : json) rows.push_back(row_of_json(entry, fmt::format("{}: entry {}", name, rows.size())));
  return rows;
}

}  // namespace

std::vector<JobRow> read_prompt_rows(const std::filesystem::path& file) {
  const std::string text =
      read_file<UsageError>(file, {.expected = "a file of prompts", .most_bytes = most_prompts_bytes});
  const std::string name = file.string();
  std::vector<JobRow> rows = file.extension() == ".csv"    ? rows_of_csv(text, name)
                             : file.extension() == ".json" ? rows_of_json(text, name)
                                                           : rows_of_text(text, name);
  if (rows.empty()) throw UsageError(fmt::format("{} holds no prompts", name));
  return rows;
}

}  // namespace bitreel
