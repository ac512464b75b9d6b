#include "app/batch/jobs_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "app/batch/output_names.h"
#include "app/batch/prompt_rows.h"
#include "app/batch/setting_values.h"
#include "app/clip_values.h"
#include "base/error.h"
#include "base/input_file.h"
#include "base/nearest.h"
#include "base/strict_yaml.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t most_jobs_bytes = std::uintmax_t{4} << 20;
constexpr std::size_t most_jobs = 100'000;

// What an entry of `jobs` says, or the file's own prompts_file.
struct Entry {
  JobRow row;
  std::optional<std::string> prompts_file;
};

class JobsFile {
 public:
  explicit JobsFile(const StrictYaml& yaml) : yaml_(yaml) {}

  std::vector<Job> read() {
    const std::map<std::string, YAML::Node> top = top_level();
    if (top.contains("defaults")) defaults_ = settings_of(top.at("defaults"), "defaults").row.settings;
    if (top.contains("output")) set_output(top.at("output"));
    if (top.contains("jobs")) {
      for (const YAML::Node& job : list_of(top.at("jobs"))) add(settings_of(job, "a job"));
    }
    if (top.contains("prompts_file")) {
      const YAML::Node& node = top.at("prompts_file");
      add({.row = {.where = place(node), .settings = {}}, .prompts_file = one_text(node, "prompts_file")});
    }
    return std::move(jobs_);
  }

 private:
  [[nodiscard]] std::string place(const YAML::Node& node) const {
    return fmt::format("{}:{}", yaml_.at(node), node.Mark().column + 1);
  }

  // A map's keys with their values, in the file's order; each key once.
  [[nodiscard]] std::vector<std::pair<YAML::Node, YAML::Node>> entries_of(const YAML::Node& node,
                                                                          const std::string& what) const {
    if (!node.IsMap()) {
      throw UsageError(fmt::format("{}: {} is not a map of keys and values", place(node), what));
    }
    std::set<std::string> seen;
    std::vector<std::pair<YAML::Node, YAML::Node>> entries;
    for (const auto& entry : node) {
      const std::string key = one_text(entry.first, "a key");
      if (!seen.insert(key).second) {
        throw UsageError(fmt::format("{}: {} is given twice", place(entry.first), key));
      }
      entries.emplace_back(entry.first, entry.second);
    }
    return entries;
  }

  [[nodiscard]] std::map<std::string, YAML::Node> top_level() const {
    const std::vector<std::string> known = {"defaults", "jobs", "prompts_file", "output"};
    const YAML::Node& root = yaml_.root();
    if (!root.IsMap()) {
      throw UsageError(fmt::format("{} holds no jobs, expected a map with {}", yaml_.name(), fmt::join(known, ", ")),
                       "jobs: [{prompt: \"a red circle moves right\"}]");
    }
    std::map<std::string, YAML::Node> values;
    for (const auto& [key, value] : entries_of(root, "the file")) {
      if (std::ranges::find(known, key.Scalar()) == known.end()) {
        const std::string meant = nearest(key.Scalar(), known);
        throw UsageError(fmt::format("{}: unknown key {}", place(key), key.Scalar()),
                         meant.empty() ? fmt::format("keys are {}; settings of all jobs belong under defaults",
                                                     fmt::join(known, ", "))
                                       : fmt::format("did you mean {}?", meant));
      }
      values.emplace(key.Scalar(), value);
    }
    if (!values.contains("jobs") && !values.contains("prompts_file")) {
      throw UsageError(fmt::format("{} has neither jobs nor a prompts_file", yaml_.name()));
    }
    return values;
  }

  [[nodiscard]] std::vector<YAML::Node> list_of(const YAML::Node& node) const {
    if (!node.IsSequence() || node.size() == 0) {
      throw UsageError(fmt::format("{}: jobs is not a list with entries", place(node)));
    }
    return {node.begin(), node.end()};
  }

  [[nodiscard]] std::string one_text(const YAML::Node& node, const std::string& what) const {
    if (node.IsScalar()) return node.Scalar();
    throw UsageError(
        fmt::format("{}: {} is {}, expected one value", place(node), what, node.IsNull() ? "empty" : "a list or a map"),
        node.IsNull() ? "leave the line out to get the default" : "");
  }

  [[nodiscard]] SettingValues values_of(const YAML::Node& node, const std::string& key) const {
    SettingValues values{.key = key, .texts = {}, .where = place(node)};
    if (!node.IsSequence()) {
      values.texts.push_back(one_text(node, key));
      return values;
    }
    if (node.size() == 0) throw UsageError(fmt::format("{}: {} is an empty list", place(node), key));
    if (node.size() > most_jobs) refuse_count(place(node));
    for (const YAML::Node& one : node) values.texts.push_back(one_text(one, fmt::format("a value of {}", key)));
    return values;
  }

  [[nodiscard]] Entry settings_of(const YAML::Node& node, const std::string& what) const {
    Entry entry{.row = {.where = place(node), .settings = {}}, .prompts_file = {}};
    for (const auto& [key, value] : entries_of(node, what)) {
      if (key.Scalar() == "prompts_file") {
        if (what == "defaults") {
          throw UsageError(fmt::format("{}: prompts_file belongs beside defaults, or into a job", place(key)));
        }
        entry.prompts_file = one_text(value, "prompts_file");
        continue;
      }
      check_job_key(key.Scalar(), place(key));
      entry.row.settings.push_back(values_of(value, key.Scalar()));
    }
    return entry;
  }

  void set_output(const YAML::Node& node) {
    if (std::ranges::find(defaults_, "output", &SettingValues::key) != defaults_.end()) {
      throw UsageError(fmt::format("{}: output is given under defaults as well", place(node)));
    }
    defaults_.push_back({.key = "output", .texts = {one_text(node, "output")}, .where = place(node)});
  }

  void add(const Entry& entry) {
    if (!entry.prompts_file) return add_product({&entry.row}, entry.row.where);
    for (const JobRow& row : read_prompt_rows(*entry.prompts_file)) add_product({&entry.row, &row}, row.where);
  }

  // A job for each combination of the values in `rows`, of which later ones go before earlier ones.
  void add_product(const std::vector<const JobRow*>& rows, const std::string& where) {
    std::vector<SettingValues> axes = defaults_;
    for (const JobRow* row : rows) {
      for (const SettingValues& values : row->settings) {
        const auto same = std::ranges::find(axes, values.key, &SettingValues::key);
        if (same == axes.end()) {
          axes.push_back(values);
        } else {
          *same = values;
        }
      }
    }
    std::size_t count = 1;
    for (const SettingValues& axis : axes) {
      count *= axis.texts.size();  // both are at most most_jobs
      if (jobs_.size() + count > most_jobs) refuse_count(where);
    }
    for (std::size_t i = 0; i < count; ++i) {
      std::vector<std::size_t> chosen(axes.size());
      std::size_t rest = i;
      for (std::size_t axis = axes.size(); axis-- > 0; rest /= axes[axis].texts.size()) {
        chosen[axis] = rest % axes[axis].texts.size();
      }
      jobs_.push_back(job_of(axes, chosen, where));
    }
  }

  [[nodiscard]] Job job_of(const std::vector<SettingValues>& axes, const std::vector<std::size_t>& chosen,
                           const std::string& where) const {
    Job job{.index = jobs_.size(), .name = {}, .where = where, .options = {}};
    job.options.seed = 0;
    job.options.output = default_output_template;
    for (std::size_t i = 0; i < axes.size(); ++i) set(job, axes[i], axes[i].texts[chosen[i]]);
    if (job.name.empty()) job.name = slug(subject_of(job.options));
    return job;
  }

  // What a job is about, for its name: its model says later what it needs.
  static std::string subject_of(const GenerateOptions& options) {
    if (options.prompt) return *options.prompt;
    return options.image.empty() ? options.mode : options.image.stem().string();
  }

  static void set(Job& job, const SettingValues& axis, const std::string& text) {
    const std::string where = fmt::format("{}: {}", axis.where, axis.key);
    const bool is_template = axis.key == "output" || axis.key == "save_latents";
    if ((is_template || axis.key == "name") && axis.texts.size() > 1) {
      throw UsageError(fmt::format("{} is a list, expected one value", where),
                       is_template ? "fields tell jobs apart: \"{index:03}-{seed}.mp4\"" : "");
    }
    if (axis.key == "name") {
      if (text.empty()) throw UsageError(fmt::format("{} is empty", where));
      job.name = utf8_from(text, where);
      return;
    }
    if (axis.key == "seed" && text == "-1") {
      throw UsageError(fmt::format("{} is -1, a random one: the next run of this batch would make other clips", where),
                       "give each job a seed, or none for seed 0");
    }
    if (is_template) NameTemplate::parse(text, where);
    setting_of(axis.key).set(job.options, text, where);
  }

  static const Setting& setting_of(const std::string& key) {
    return *std::ranges::find(settings(), key, &Setting::key);  // check_job_key knows it
  }

  [[noreturn]] static void refuse_count(const std::string& where) {
    throw UsageError(fmt::format("{}: more than {} jobs with this one", where, most_jobs),
                     "split the file; lists of values multiply");
  }

  const StrictYaml& yaml_;
  std::vector<SettingValues> defaults_;
  std::vector<Job> jobs_;
};

}  // namespace

std::vector<Job> read_jobs(const fs::path& file) {
  const std::string text = read_file<UsageError>(
      file, {.expected = "a jobs file (many prompts go into a prompts_file)", .most_bytes = most_jobs_bytes});
  const StrictYaml yaml = StrictYaml::parse(text, file.string());
  return JobsFile(yaml).read();
}

std::string jobs_yaml(const std::vector<Job>& jobs) {
  YAML::Emitter yaml;
  yaml << YAML::BeginMap << YAML::Key << "jobs" << YAML::Value << YAML::BeginSeq;
  for (const Job& job : jobs) {
    yaml << YAML::BeginMap << YAML::Key << "name" << YAML::Value << YAML::DoubleQuoted << job.name;
    const nlohmann::ordered_json config = to_json(job.options);
    for (const auto& [key, value] : config.items()) {
      yaml << YAML::Key << key << YAML::Value;
      if (!value.is_string()) {
        yaml << value.dump();
        continue;
      }
      const bool is_path_of_job = key == "output" || key == "save_latents";
      const auto text = value.get<std::string>();
      yaml << YAML::DoubleQuoted << (is_path_of_job ? NameTemplate::literal(text) : text);
    }
    yaml << YAML::EndMap;
  }
  yaml << YAML::EndSeq << YAML::EndMap;
  return std::string(yaml.c_str()) + "\n";
}

}  // namespace bitreel
