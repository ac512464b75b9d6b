#include "app/batch/gallery.h"

#include <set>

#include "app/reports/html_page.h"

namespace bitreel {

namespace embedded {
extern const std::string_view batch_html, batch_js;
}  // namespace embedded

namespace {

using nlohmann::ordered_json;

// Settings that are each job's own say nothing as a filter, and the page shows them elsewhere.
const std::set<std::string> shown_apart = {"prompt", "output", "save_latents"};

// Keys of settings that are not the same in every job.
std::set<std::string> varying_keys(const ordered_json& jobs) {
  std::set<std::string> varying;
  const auto compare = [&](const ordered_json& of, const ordered_json& with) {
    for (const auto& [key, value] : of.items()) {
      const auto other = with.find(key);
      if (!shown_apart.contains(key) && (other == with.end() || *other != value)) varying.insert(key);
    }
  };
  for (const auto& job : jobs) {
    compare(job["settings"], jobs.front()["settings"]);
    compare(jobs.front()["settings"], job["settings"]);
  }
  return varying;
}

}  // namespace

std::string gallery_page(const ordered_json& results, const std::string& title) {
  const ordered_json& jobs = results["jobs"];
  ordered_json data = {{"title", title},
                       {"counts", results["counts"]},
                       {"common", ordered_json::object()},
                       {"varying", ordered_json::array()},
                       {"jobs", ordered_json::array()}};
  const std::set<std::string> varying = jobs.empty() ? std::set<std::string>() : varying_keys(jobs);
  for (const std::string& key : varying) data["varying"].push_back(key);
  if (!jobs.empty()) {
    for (const auto& [key, value] : jobs.front()["settings"].items()) {
      if (!varying.contains(key) && !shown_apart.contains(key)) data["common"][key] = value;
    }
  }
  for (const auto& job : jobs) {
    ordered_json shown = job;
    shown["prompt"] = job["settings"].value("prompt", ordered_json());
    shown["settings"] = ordered_json::object();
    for (const std::string& key : varying) shown["settings"][key] = job["settings"].value(key, ordered_json());
    data["jobs"].push_back(std::move(shown));
  }
  return html_page(embedded::batch_html, {{"batch.js", embedded::batch_js}}, data);
}

}  // namespace bitreel
