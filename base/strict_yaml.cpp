#include "base/strict_yaml.h"

#include <fmt/ranges.h>
#include <yaml-cpp/eventhandler.h>

#include <algorithm>
#include <sstream>
#include <utility>

#include "base/input_file.h"
#include "base/nearest.h"

namespace bitreel {
namespace {

constexpr std::size_t most_depth = 64;
constexpr std::uintmax_t most_bytes = std::uintmax_t{16} << 20;

// What a document must not be, found by yaml-cpp's events before it makes nodes: those are walked by recursion, and an
// alias inside of what it names has no end.
class Watch : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_++ > 0) refuse(mark, "a second document begins, expected one");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& /*mark*/, YAML::anchor_t /*anchor*/) override {}
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (std::ranges::find(open_, anchor) != open_.end()) refuse(mark, "an alias inside of what it names");
  }
  void OnScalar(const YAML::Mark& /*mark*/, const std::string& /*tag*/, YAML::anchor_t /*anchor*/,
                const std::string& /*value*/) override {}
  void OnSequenceStart(const YAML::Mark& mark, const std::string& /*tag*/, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    enter(mark, anchor);
  }
  void OnSequenceEnd() override { open_.pop_back(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& /*tag*/, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    enter(mark, anchor);
  }
  void OnMapEnd() override { open_.pop_back(); }

 private:
  [[noreturn]] static void refuse(const YAML::Mark& mark, const std::string& why) {
    throw YAML::ParserException(mark, why);
  }
  void enter(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (open_.size() == most_depth) refuse(mark, fmt::format("nested more than {} deep", most_depth));
    open_.push_back(anchor);
  }

  std::vector<YAML::anchor_t> open_;  // the lists and maps around the place, 0 without an anchor
  int documents_ = 0;
};

}  // namespace

StrictYaml::StrictYaml(std::string name, const YAML::Node& root) : name_(std::move(name)), root_(root) {}

StrictYaml StrictYaml::open(const std::filesystem::path& file) {
  return parse(read_file<UsageError>(file, {.expected = "a YAML file", .most_bytes = most_bytes}), file.string());
}

StrictYaml StrictYaml::parse(const std::string& text, const std::string& name) {
  // The end mark makes yaml-cpp see a quote that is never closed.
  const std::string closed = text + "\n...\n";
  try {
    std::istringstream stream(closed);
    YAML::Parser parser(stream);
    Watch watch;
    while (parser.HandleNextDocument(watch)) {
    }
    return {name, YAML::Load(closed)};
  } catch (const YAML::Exception& e) {  // yaml-cpp's own type: translated here, where the file's name is known
    throw UsageError(fmt::format("{}:{}: {}", name, e.mark.line + 1, e.msg));
  }
}

std::string StrictYaml::at(const YAML::Node& node) const {
  return fmt::format("{}:{}", name_, node.Mark().line + 1);
}

std::map<std::string, YAML::Node> StrictYaml::map(const YAML::Node& node, const std::string& what,
                                                  const std::vector<std::string>& required,
                                                  const std::vector<std::string>& optional) const {
  if (!node.IsMap()) throw UsageError(fmt::format("{}: {} is not a map of keys and values", at(node), what));
  std::vector<std::string> known = required;
  known.insert(known.end(), optional.begin(), optional.end());
  std::map<std::string, YAML::Node> values;
  for (const auto& entry : node) {
    const std::string key = text(entry.first, "a key");
    if (std::ranges::find(known, key) == known.end()) {
      const std::string meant = nearest(key, known);
      throw UsageError(fmt::format("{}: {} has no key {}", at(entry.first), what, key),
                       meant.empty() ? fmt::format("its keys are {}", fmt::join(known, ", "))
                                     : fmt::format("did you mean {}?", meant));
    }
    if (!values.emplace(key, entry.second).second) {
      throw UsageError(fmt::format("{}: {} is given twice", at(entry.first), key));
    }
  }
  for (const std::string& key : required) {
    if (!values.contains(key)) throw UsageError(fmt::format("{}: {} has no {}", at(node), what, key));
  }
  return values;
}

std::vector<YAML::Node> StrictYaml::list(const YAML::Node& node, const std::string& what) const {
  if (!node.IsSequence() || node.size() == 0) {
    throw UsageError(fmt::format("{}: {} is not a list with entries", at(node), what));
  }
  return {node.begin(), node.end()};
}

std::string StrictYaml::text(const YAML::Node& node, const std::string& what) const {
  if (!node.IsScalar() || node.Scalar().empty()) {
    throw UsageError(fmt::format("{}: {} is {}, expected one value", at(node), what,
                                 node.IsSequence() || node.IsMap() ? "a list or a map" : "empty"));
  }
  return node.Scalar();
}

}  // namespace bitreel
