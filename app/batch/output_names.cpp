#include "app/batch/output_names.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <utility>

#include "app/files/output_files.h"
#include "base/error.h"
#include "base/nearest.h"
#include "base/number_text.h"
#include "schedulers/precision/attention_choice.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

// A name's bytes: files beside a clip have longer names than it (".unfinished.safetensors"), and 255 is the limit.
constexpr std::size_t most_name_bytes = 200;

bool is_part_of_utf8(char c) {
  return static_cast<unsigned char>(c) >= 0x80;
}

// No longer than that, and not cut within a character.
void cut(std::string& text, std::size_t bytes) {
  if (text.size() <= bytes) return;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  text.resize(bytes);
}

// What is no letter, digit or mark that every file system and shell takes becomes '-', several of them one.
std::string file_safe(std::string_view text, std::string_view marks) {
  std::string safe;
  for (const char c : text) {
    const bool kept = std::isalnum(static_cast<unsigned char>(c)) != 0 || is_part_of_utf8(c) ||
                      marks.find(c) != std::string_view::npos;
    if (kept) {
      safe += c;
    } else if (!safe.empty() && safe.back() != '-') {
      safe += '-';
    }
  }
  while (safe.ends_with('-')) safe.pop_back();
  while (safe.starts_with('.')) safe.erase(0, 1);  // neither hidden nor ".."
  cut(safe, most_name_bytes);
  return safe;
}

std::vector<std::string> field_names() {
  std::vector<std::string> names = {"index", "name", "prompt_slug"};
  for (const Setting& setting : settings()) {
    if (setting.name != "output" && setting.name != "save-latents") names.push_back(setting.key());
  }
  return names;
}

const Setting* setting_of(const std::string& key) {
  const auto found = std::ranges::find(settings(), key, &Setting::key);
  return found == settings().end() ? nullptr : &*found;
}

std::string value_of(const std::string& field, const Job& job) {
  if (field == "index") return std::to_string(job.index);
  if (field == "name") return file_safe(job.name, "-_.+");
  if (field == "prompt_slug") return slug(job.options.prompt.value_or(""));
  const nlohmann::ordered_json value = setting_of(field)->get(job.options);
  if (value.is_null()) return "auto";
  if (!value.is_string()) return value.dump();
  const auto text = value.get<std::string>();
  const bool names_file = field == "model" || (field == "attention" && names_plan_file(text));
  const std::string safe = file_safe(names_file ? fs::path(text).stem().string() : text, "-_.+");
  return safe.empty() ? "none" : safe;
}

// A job's file, relative to the batch's folder: inside it, and with a name that fits.
void check_inside(const fs::path& path, const std::string& what) {
  const auto leaves = [](const fs::path& part) { return part == ".."; };
  if (path.is_absolute() || std::ranges::any_of(path, leaves)) {
    throw UsageError(fmt::format("{} leaves the batch's folder", what), "it is relative to --output");
  }
  for (const fs::path& part : path) {
    if (part.string().size() <= most_name_bytes) continue;
    throw UsageError(
        fmt::format("{} has a part of {} bytes, expected at most {}", what, part.string().size(), most_name_bytes));
  }
  const std::string first = path.begin()->string(), stem = path.stem().string();
  const bool at_the_top = !path.has_parent_path();
  if (first.starts_with('.') || (at_the_top && (stem == "results" || stem == "ledger" || first == "index.html"))) {
    throw UsageError(fmt::format("{} is a name that the batch's own files have or may have", what));
  }
}

// Links may lead out of the folder too.
class Folders {
 public:
  explicit Folders(const fs::path& root) : root_(fs::weakly_canonical(fs::absolute(root) / "")) {}

  void check(const fs::path& path, const std::string& what) {
    const fs::path parent = path.parent_path();
    if (!seen_.insert(parent.string()).second) return;
    const fs::path real = fs::weakly_canonical(root_ / parent);
    const auto [end, ignored] = std::mismatch(root_.begin(), root_.end(), real.begin(), real.end());
    if (end == root_.end() || end->empty()) return;
    throw UsageError(fmt::format("{} leaves the batch's folder through a link: {}", what, real.string()));
  }

 private:
  fs::path root_;
  std::set<std::string> seen_;
};

// "a/clip.mp4" -> "a/clip": the clip, its sidecar and its latents differ behind that only. A folder of pictures has its
// own name.
std::string stem_of(const fs::path& path) {
  return path.has_filename() ? fs::path(path).replace_extension().string() : path.parent_path().string();
}

class Names {
 public:
  void take(const fs::path& path, const std::string& what, const Job& job) {
    const auto [other, is_new] = taken_.emplace(stem_of(path), &job);
    if (!is_new) refuse(what, *other->second);
  }
  // No clip may lie in a folder that is another's pictures.
  void check_parents(const fs::path& path, const std::string& what) const {
    for (fs::path parent = path.parent_path(); parent.has_relative_path(); parent = parent.parent_path()) {
      if (parent.string() == stem_of(path)) continue;
      const auto other = taken_.find(parent.string());
      if (other != taken_.end() && !other->second->options.output.has_filename()) refuse(what, *other->second);
    }
  }

 private:
  [[noreturn]] static void refuse(const std::string& what, const Job& other) {
    throw UsageError(fmt::format("{} is taken: job {} ({}) writes {}", what, other.index, other.where,
                                 other.options.output.string()),
                     "fields in the template tell jobs apart: {index:03}, {name}, {seed}, {attention}");
  }

  std::map<std::string, const Job*> taken_;
};

}  // namespace

std::string slug(std::string_view text) {
  constexpr std::size_t most_bytes = 48;
  std::string words = file_safe(text, "");
  std::ranges::transform(words, words.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (words.size() > most_bytes) {
    const std::size_t word_end = words.rfind('-', most_bytes);
    cut(words, word_end == std::string::npos || word_end == 0 ? most_bytes : word_end);
  }
  return words.empty() ? "clip" : words;
}

std::string NameTemplate::literal(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    escaped += c;
    if (c == '{' || c == '}') escaped += c;
  }
  return escaped;
}

NameTemplate NameTemplate::parse(const std::string& text, const std::string& where) {
  static const std::vector<std::string> known = field_names();
  NameTemplate name;
  std::string literal;
  const auto end_literal = [&] {
    if (!literal.empty()) name.parts_.push_back({.literal = std::exchange(literal, {}), .field = {}});
  };
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c != '{' && c != '}') {
      literal += c;
      continue;
    }
    if (at + 1 < text.size() && text[at + 1] == c) {
      literal += c;
      ++at;
      continue;
    }
    const std::size_t close = text.find('}', at);
    if (c == '}' || close == std::string::npos) {
      throw UsageError(fmt::format("{}: the brace at character {} of \"{}\" has no partner", where, at + 1, text),
                       "a field is {name}, a brace itself {{ or }}");
    }
    const std::string inside = text.substr(at + 1, close - at - 1);
    const std::size_t colon = inside.find(':');
    Part part{.literal = {}, .field = inside.substr(0, colon)};
    if (std::ranges::find(known, part.field) == known.end()) {
      const std::string meant = nearest(part.field, known);
      throw UsageError(fmt::format("{}: there is no field {{{}}}", where, part.field),
                       meant.empty() ? fmt::format("fields are {}", fmt::join(known, ", "))
                                     : fmt::format("did you mean {{{}}}?", meant));
    }
    if (colon != std::string::npos) {
      const Setting* setting = setting_of(part.field);
      const bool is_number = part.field == "index" || (setting != nullptr && setting->shape == "INT");
      const std::string digits = inside.substr(colon + 1);
      const std::optional<std::size_t> width = number_from<std::size_t>(digits);
      if (!is_number || !digits.starts_with('0') || !width || *width > 20) {
        throw UsageError(
            fmt::format("{}: {{{}}}, expected a whole number's field and zeros to fill it with", where, inside),
            "{index:03} writes 007");
      }
      part.width = *width;
    }
    end_literal();
    name.parts_.push_back(std::move(part));
    at = close;
  }
  end_literal();
  return name;
}

std::string NameTemplate::fill(const Job& job) const {
  std::string text;
  for (const Part& part : parts_) {
    if (part.field.empty()) {
      text += part.literal;
      continue;
    }
    const std::string value = value_of(part.field, job);
    if (value.size() < part.width) text += std::string(part.width - value.size(), '0');
    text += value;
  }
  return text;
}

void name_outputs(std::vector<Job>& jobs, const fs::path& folder) {
  Folders folders(folder);
  Names clips, latents;
  const auto settle = [&](fs::path& path, const char* key, const Job& job, Names& names) {
    const NameTemplate name = NameTemplate::parse(path.string(), fmt::format("{}: {}", job.where, key));
    path = name.fill(job);
    const std::string what = fmt::format("{}: {} {}", job.where, key, path.string());
    if (path.empty()) throw UsageError(fmt::format("{}: {} is an empty name", job.where, key));
    path = path.lexically_normal();
    check_inside(path, what);
    folders.check(path, what);
    names.take(path, what, job);
  };
  for (Job& job : jobs) {
    settle(job.options.output, "output", job, clips);
    const std::int64_t samples = std::max(job.options.num_images.value_or(1), job.options.num_prompts.value_or(1));
    for (std::int64_t sample = 0; samples > 1 && sample < samples; ++sample) {
      const fs::path file = numbered(job.options.output, sample, samples);
      clips.take(file, fmt::format("{}: output {}", job.where, file.string()), job);
    }
    if (!job.options.save_latents.empty()) settle(job.options.save_latents, "save_latents", job, latents);
  }
  for (const Job& job : jobs) {
    clips.check_parents(job.options.output, fmt::format("{}: output {}", job.where, job.options.output.string()));
  }
}

}  // namespace bitreel
