#include "pipelines/quality/score.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/input_file.h"
#include "base/json_text.h"

namespace bitreel::quality {
namespace {

using nlohmann::json;

constexpr double most_stray = 0.5;  // of the object: more is a second object that nobody asked for

struct Vocabulary {
  std::vector<std::string> colours, shapes, sizes, motions, places, backgrounds;

  explicit Vocabulary(const Domain& domain) {
    for (const NamedColour& colour : domain.colours) colours.push_back(colour.name);
    for (const NamedColour& colour : domain.backgrounds) backgrounds.push_back(colour.name);
    for (const NamedSize& size : domain.sizes) sizes.push_back(size.name);
    for (const Shape shape : domain.shapes) shapes.push_back(name_of(shape));
    for (const Motion motion : domain.motions) motions.push_back(name_of(motion));
    for (const NamedPlace& place : domain.places) places.push_back(place.name);
  }
};

// One entry of the file, or one object in it; `where` is how errors name it.
struct Entry {
  const json& value;
  std::string where;

  [[noreturn]] void fail(const std::string& what, const std::string& hint = {}) const {
    throw Error(fmt::format("{}: {}", where, what), hint);
  }

  void allow_only(const std::vector<std::string>& keys) const {
    if (!value.is_object()) fail("is not an object");
    for (const auto& [key, unused] : value.items())
      if (std::ranges::count(keys, key) == 0)
        fail(fmt::format("unknown key {}", key), fmt::format("known are {}", fmt::join(keys, ", ")));
  }

  [[nodiscard]] std::string text(const std::string& key) const {
    if (!value.contains(key)) fail(fmt::format("has no key {}", key));
    if (!value.at(key).is_string()) fail(fmt::format("{} is {}, expected text", key, value.at(key).dump()));
    return value.at(key).get<std::string>();
  }

  [[nodiscard]] std::string word_if_any(const std::string& key, const std::vector<std::string>& known) const {
    return value.contains(key) ? word(key, known) : "";
  }

  [[nodiscard]] std::string word(const std::string& key, const std::vector<std::string>& known) const {
    std::string got = text(key);
    if (std::ranges::count(known, got) == 0)
      fail(fmt::format("{} is \"{}\", which the domain does not hold", key, got),
           fmt::format("it holds {}", fmt::join(known, ", ")));
    return got;
  }
};

ExpectedObject read_object(const Entry& entry, const Vocabulary& known) {
  entry.allow_only({"colour", "shape", "size", "motion", "place"});
  return {.colour = entry.word("colour", known.colours),
          .shape = entry.word("shape", known.shapes),
          .size = entry.word_if_any("size", known.sizes),
          .motion = entry.word_if_any("motion", known.motions),
          .place = entry.word_if_any("place", known.places)};
}

Expectation read_entry(const Entry& entry, const Vocabulary& known) {
  entry.allow_only({"prompt", "file", "objects", "background"});
  Expectation result{.prompt = entry.text("prompt"),
                     .file = entry.value.contains("file") ? entry.text("file") : "",
                     .objects = {},
                     .background = entry.word_if_any("background", known.backgrounds)};
  if (!entry.value.contains("objects") || !entry.value.at("objects").is_array()) entry.fail("has no list of objects");
  const json& objects = entry.value.at("objects");
  if (objects.empty() || objects.size() > 2) entry.fail(fmt::format("has {} objects, expected 1 or 2", objects.size()));
  for (size_t i = 0; i < objects.size(); ++i)
    result.objects.push_back(read_object({objects[i], fmt::format("{}, object {}", entry.where, i)}, known));
  return result;
}

using Counts = std::array<Count, attribute_names.size()>;

void mark(Counts& counts, Attribute attribute, const std::string& asked, const std::string& seen) {
  if (asked.empty()) return;
  Count& count = counts[static_cast<size_t>(attribute)];
  ++count.asked;
  count.right += asked == seen ? 1 : 0;
}

Counts marks_of(const ExpectedObject& asked, const SeenObject& seen) {
  Counts counts{};
  mark(counts, Attribute::colour, asked.colour, seen.colour);
  mark(counts, Attribute::shape, asked.shape, seen.shape);
  mark(counts, Attribute::motion, asked.motion, seen.motion);
  mark(counts, Attribute::size, asked.size, seen.size);
  mark(counts, Attribute::place, asked.place, seen.place);
  return counts;
}

void add_to(Counts& sum, const Counts& counts) {
  for (size_t i = 0; i < sum.size(); ++i) sum[i].right += counts[i].right, sum[i].asked += counts[i].asked;
}

}  // namespace

std::vector<Expectation> read_expectations(const std::filesystem::path& file, const Domain& domain) {
  const auto root = parse_json_if_any(read_file(file, {.expected = "a JSON list of prompts"}));
  if (!root.is_array() || root.empty())
    throw Error(fmt::format("{}: is not a JSON list of prompts", file.string()),
                R"(expected [{"prompt": ..., "objects": [...], "background": ...}, ...])");
  const Vocabulary known(domain);
  std::vector<Expectation> result;
  for (size_t i = 0; i < root.size(); ++i)
    result.push_back(read_entry({root[i], fmt::format("{}: entry {}", file.string(), i)}, known));
  return result;
}

ClipScore compare_in_order(const Expectation& asked, const Judgement& seen) {
  ClipScore score{.counts = {}, .matched = seen.objects};
  score.matched.resize(asked.objects.size());  // what was not seen is an object without attributes
  for (size_t i = 0; i < score.matched.size(); ++i) add_to(score.counts, marks_of(asked.objects[i], score.matched[i]));
  mark(score.counts, Attribute::background, asked.background, seen.background);
  const bool alone = seen.others == 0 && seen.objects.size() <= asked.objects.size() &&
                     std::ranges::none_of(score.matched, [](const SeenObject& o) { return o.stray > most_stray; });
  score.counts[static_cast<size_t>(Attribute::everything)] = {.right = alone && wrong_in(score) == 0 ? 1 : 0,
                                                              .asked = 1};
  return score;
}

int wrong_in(const ClipScore& score) {
  int wrong = 0;
  for (size_t i = 0; i < static_cast<size_t>(Attribute::everything); ++i)
    wrong += score.counts[i].asked - score.counts[i].right;
  return wrong;
}

ClipScore compare(const Expectation& asked, const Judgement& seen) {
  ClipScore score = compare_in_order(asked, seen);
  if (asked.objects.size() < 2) return score;
  Judgement swapped = seen;
  swapped.objects.resize(2);
  std::swap(swapped.objects[0], swapped.objects[1]);
  const ClipScore other = compare_in_order(asked, swapped);
  return wrong_in(other) < wrong_in(score) ? other : score;
}

void ScoreTable::add(const ClipScore& score) {
  add_to(counts_.at(score.matched.size() - 1), score.counts);
}

const Count& ScoreTable::of(int objects, Attribute attribute) const {
  return counts_.at(static_cast<size_t>(objects - 1))[static_cast<size_t>(attribute)];
}

Count ScoreTable::of(Attribute attribute) const {
  const Count &one = of(1, attribute), &two = of(2, attribute);
  return {.right = one.right + two.right, .asked = one.asked + two.asked};
}

std::string ScoreTable::text() const {
  std::string text = fmt::format("{:<20}", "");
  for (const char* name : attribute_names) text += fmt::format("{:>18}", name);
  text += "\n";
  for (size_t objects = 0; objects < counts_.size(); ++objects) {
    if (counts_[objects].back().asked == 0) continue;
    text += fmt::format("{:<20}", objects == 0 ? "one-object prompts" : "two-object prompts");
    for (const Count& count : counts_[objects])
      text += count.asked > 0
                  ? fmt::format("{:>18}", fmt::format("{:.1f}% ({}/{})", count.percent(), count.right, count.asked))
                  : fmt::format("{:>18}", "-");
    text += "\n";
  }
  return text;
}

}  // namespace bitreel::quality
