#include "app/batch/results.h"

#include <array>

#include "app/batch/gallery.h"
#include "app/options.h"
#include "base/written_file.h"

namespace bitreel {
namespace {

using nlohmann::ordered_json;

// Messages of libraries and the system may be anything: what is no UTF-8 becomes U+FFFD.
std::string text_of(const ordered_json& value, int indent) {
  return value.dump(indent, ' ', false, ordered_json::error_handler_t::replace);
}

ordered_json json_of(const JobResult& result) {
  return {{"key", result.key},
          {"index", result.index},
          {"name", result.name},
          {"state", name_of(result.outcome)},
          {"output", result.output},
          {"settings", result.settings},
          {"seconds", result.seconds ? ordered_json(*result.seconds) : ordered_json()},
          {"attempts", result.attempts},
          {"error", result.error.empty() ? ordered_json() : ordered_json(result.error)}};
}

// RFC 4180. A text that a spreadsheet would take for a formula is left as it is: the file is data.
void add_cell(std::string& row, const ordered_json& value) {
  const std::string text = value.is_null() ? "" : value.is_string() ? value.get<std::string>() : value.dump();
  if (!row.empty()) row += ',';
  if (text.find_first_of(",\"\r\n") == std::string::npos) {
    row += text;
    return;
  }
  row += '"';
  for (const char c : text) row += c == '"' ? std::string("\"\"") : std::string(1, c);
  row += '"';
}

std::string results_csv(const std::vector<ordered_json>& jobs) {
  constexpr std::array columns = {"index", "name", "state", "key", "output", "seconds", "attempts", "error"};
  std::string text;
  std::string row;
  for (const char* column : columns) add_cell(row, column);
  for (const Setting& setting : settings()) {
    if (setting.name != "output") add_cell(row, setting.key());
  }
  text += row + "\r\n";
  for (const ordered_json& job : jobs) {
    row.clear();
    for (const char* column : columns) add_cell(row, job[column]);
    for (const Setting& setting : settings()) {
      if (setting.name != "output") add_cell(row, job["settings"].value(setting.key(), ordered_json()));
    }
    text += row + "\r\n";
  }
  return text;
}

}  // namespace

std::string_view name_of(JobOutcome outcome) {
  constexpr std::array<std::string_view, 4> names = {"done", "failed", "skipped", "missing"};
  return names.at(static_cast<std::size_t>(outcome));
}

JobCounts counts_of(const std::vector<JobResult>& results) {
  JobCounts counts;
  const std::array<std::size_t*, 4> of = {&counts.done, &counts.failed, &counts.skipped, &counts.missing};
  for (const JobResult& result : results) ++*of.at(static_cast<std::size_t>(result.outcome));
  return counts;
}

void write_results(const std::filesystem::path& folder, const std::vector<JobResult>& results) {
  std::vector<ordered_json> jobs;
  jobs.reserve(results.size());
  for (const JobResult& result : results) jobs.push_back(json_of(result));
  const JobCounts counts = counts_of(results);
  const ordered_json all = {
      {"bitreel_batch", results_format_version},
      {"jobs", jobs},
      {"counts",
       {{"done", counts.done}, {"failed", counts.failed}, {"skipped", counts.skipped}, {"missing", counts.missing}}}};
  write_whole(folder / "results.json", text_of(all, 1) + "\n");
  write_whole(folder / "results.csv", results_csv(jobs));
  write_whole(folder / "index.html", gallery_page(all, std::filesystem::weakly_canonical(folder).filename().string()));
}

}  // namespace bitreel
