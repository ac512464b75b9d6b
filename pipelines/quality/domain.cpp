#include "pipelines/quality/domain.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <opencv2/imgproc.hpp>
#include <type_traits>
#include <utility>

#include "base/error.h"
#include "base/input_file.h"
#include "base/json_text.h"

namespace bitreel::quality {
namespace {

using nlohmann::json;

constexpr std::array<std::pair<const char*, Shape>, 6> shape_names{{{"circle", Shape::circle},
                                                                    {"square", Shape::square},
                                                                    {"triangle", Shape::triangle},
                                                                    {"star", Shape::star},
                                                                    {"ring", Shape::ring},
                                                                    {"cross", Shape::cross}}};
constexpr std::array<std::pair<const char*, Motion>, 10> motion_names{{{"left", Motion::left},
                                                                       {"right", Motion::right},
                                                                       {"up", Motion::up},
                                                                       {"down", Motion::down},
                                                                       {"bounce", Motion::bounce},
                                                                       {"orbit", Motion::orbit},
                                                                       {"grow", Motion::grow},
                                                                       {"shrink", Motion::shrink},
                                                                       {"spin", Motion::spin},
                                                                       {"still", Motion::still}}};

template <class Names, class Value>
std::string lookup_name(const Names& names, Value value) {
  for (const auto& [name, known] : names)
    if (known == value) return name;
  throw Error("a value of the judge's vocabulary has no name");
}

// Of anything with a name.
template <class Named>
std::vector<std::string> names_of(const std::vector<Named>& all) {
  std::vector<std::string> names;
  for (const Named& one : all) {
    if constexpr (std::is_enum_v<Named>)
      names.push_back(name_of(one));
    else
      names.push_back(one.name);
  }
  return names;
}

bool is_word(const json& value) {
  return value.is_string() && !value.get_ref<const std::string&>().empty();
}

// One JSON file being read; every complaint names it and the key.
struct Reading {
  std::string file;

  [[noreturn]] void fail(const std::string& what, const std::string& hint = {}) const {
    throw Error(fmt::format("{}: {}", file, what), hint);
  }

  double number(const json& value, const std::string& key, double low, double high) const {
    if (!value.is_number()) fail(fmt::format("{} is {}, expected a number", key, value.dump()));
    const double got = value.get<double>();
    if (!(got >= low && got <= high)) fail(fmt::format("{} is {}, expected {} to {}", key, got, low, high));
    return got;
  }

  int whole(const json& value, const std::string& key, int low, int high) const {
    if (!value.is_number_integer()) fail(fmt::format("{} is {}, expected a whole number", key, value.dump()));
    return static_cast<int>(number(value, key, low, high));
  }

  std::vector<NamedColour> colours(const json& value, const std::string& key) const {
    if (!value.is_object() || value.empty()) fail(fmt::format("{} is not an object of name: [r, g, b]", key));
    std::vector<NamedColour> result;
    for (const auto& [name, rgb] : value.items()) {
      const std::string entry = fmt::format("{}.{}", key, name);
      if (!rgb.is_array() || rgb.size() != 3) fail(fmt::format("{} is {}, expected [r, g, b]", entry, rgb.dump()));
      NamedColour colour{.name = name, .rgb = {}, .lab = {}};
      for (int c = 0; c < 3; ++c) colour.rgb[c] = static_cast<float>(number(rgb[c], entry, 0, 1));
      colour.lab = lab_of(colour.rgb);
      result.push_back(colour);
    }
    return result;
  }

  std::vector<NamedSize> sizes(const json& value) const {
    if (!value.is_object() || value.empty()) fail("sizes is not an object of name: radius");
    std::vector<NamedSize> result;
    for (const auto& [name, radius] : value.items())
      result.push_back({.name = name, .radius = number(radius, "sizes." + name, 0.02, 1)});
    std::ranges::sort(result, {}, &NamedSize::radius);
    return result;
  }

  std::vector<NamedPlace> places(const json& value) const {
    if (!value.is_object() || value.empty()) fail("places is not an object of name: [x, y]");
    std::vector<NamedPlace> result;
    for (const auto& [name, middle] : value.items()) {
      const std::string entry = "places." + name;
      if (!middle.is_array() || middle.size() != 2)
        fail(fmt::format("{} is {}, expected [x, y]", entry, middle.dump()));
      result.push_back({.name = name, .middle = {number(middle[0], entry, -1, 1), number(middle[1], entry, -1, 1)}});
    }
    return result;
  }

  // The wordings of `names`, of which the file lists those with other ways than the name itself.
  std::vector<Wording> wordings(const json& words, const std::string& kind,
                                const std::vector<std::string>& names) const {
    const std::string key = "words." + kind;
    if (!words.contains(kind) || !words.at(kind).is_object()) fail(fmt::format("{} is not an object", key));
    const json& listed = words.at(kind);
    for (const auto& [name, unused] : listed.items())
      if (std::ranges::count(names, name) == 0)
        fail(fmt::format("{} holds {}, which is none of its {}", key, name, kind));
    std::vector<Wording> result;
    for (const std::string& name : names) {
      Wording wording{.name = name, .ways = {name}};
      if (listed.contains(name)) {
        const json& ways = listed.at(name);
        const bool texts = ways.is_array() && !ways.empty() && std::ranges::all_of(ways, is_word);
        if (!texts) fail(fmt::format("{}.{} is {}, expected a list of words", key, name, ways.dump()));
        wording.ways = ways.get<std::vector<std::string>>();
      }
      result.push_back(wording);
    }
    return result;
  }

  template <class Value, class Names>
  std::vector<Value> words(const json& value, const std::string& key, const Names& names) const {
    if (!value.is_array() || value.empty()) fail(fmt::format("{} is not a list of names", key));
    std::vector<std::string> known;
    known.reserve(names.size());
    for (const auto& entry : names) known.emplace_back(entry.first);
    std::vector<Value> result;
    for (const auto& word : value) {
      const auto* const found =
          std::ranges::find_if(names, [&](const auto& entry) { return word.is_string() && word == entry.first; });
      if (found == names.end())
        fail(fmt::format("{} holds {}, which the judge cannot see", key, word.dump()),
             fmt::format("it knows {}", fmt::join(known, ", ")));
      result.push_back(found->second);
    }
    return result;
  }
};

}  // namespace

std::string name_of(Shape shape) {
  return lookup_name(shape_names, shape);
}
std::string name_of(Motion motion) {
  return lookup_name(motion_names, motion);
}

cv::Vec3f lab_of(const cv::Vec3f& rgb) {
  cv::Mat pixel(1, 1, CV_32FC3, cv::Scalar(rgb[0], rgb[1], rgb[2])), lab;
  cv::cvtColor(pixel, lab, cv::COLOR_RGB2Lab);
  return lab.at<cv::Vec3f>(0, 0);
}

Domain Domain::read(const std::filesystem::path& file) {
  const Reading reading{file.string()};
  const auto root =
      parse_json_if_any(read_file(file, {.expected = "a domain.json, such as assets/pocket/domain.json"}));
  if (root.is_discarded() || !root.is_object()) reading.fail("is not a JSON object");

  Domain domain;
  const std::map<std::string, std::function<void(const json&)>> keys{
      {"width", [&](const json& v) { domain.width = reading.whole(v, "width", 16, 4096); }},
      {"height", [&](const json& v) { domain.height = reading.whole(v, "height", 16, 4096); }},
      {"frames", [&](const json& v) { domain.frames = reading.whole(v, "frames", 2, 10000); }},
      {"fps", [&](const json& v) { domain.fps = reading.number(v, "fps", 1, 1000); }},
      {"colours", [&](const json& v) { domain.colours = reading.colours(v, "colours"); }},
      {"backgrounds", [&](const json& v) { domain.backgrounds = reading.colours(v, "backgrounds"); }},
      {"shapes", [&](const json& v) { domain.shapes = reading.words<Shape>(v, "shapes", shape_names); }},
      {"sizes", [&](const json& v) { domain.sizes = reading.sizes(v); }},
      {"motions", [&](const json& v) { domain.motions = reading.words<Motion>(v, "motions", motion_names); }},
      {"places", [&](const json& v) { domain.places = reading.places(v); }},
      {"words", [](const json&) {}}};  // read last: it speaks of the others
  for (const auto& [key, read] : keys) {
    if (!root.contains(key)) reading.fail(fmt::format("has no key {}", key));
    read(root.at(key));
  }
  for (const auto& [key, value] : root.items())
    if (key != "comment" && !keys.contains(key)) reading.fail(fmt::format("unknown key {}", key));
  const json& words = root.at("words");
  if (!words.is_object()) reading.fail("words is not an object");
  for (const auto& [kind, unused] : words.items())
    if (kind == "words" || !keys.contains(kind)) reading.fail(fmt::format("unknown key words.{}", kind));
  domain.words = {.colours = reading.wordings(words, "colours", names_of(domain.colours)),
                  .backgrounds = reading.wordings(words, "backgrounds", names_of(domain.backgrounds)),
                  .shapes = reading.wordings(words, "shapes", names_of(domain.shapes)),
                  .sizes = reading.wordings(words, "sizes", names_of(domain.sizes)),
                  .motions = reading.wordings(words, "motions", names_of(domain.motions)),
                  .places = reading.wordings(words, "places", names_of(domain.places))};
  return domain;
}

}  // namespace bitreel::quality
