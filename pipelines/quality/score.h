// What the judge saw beside what a prompt asked for, counted clip by clip and over many.
//
//   const std::vector<Expectation> asked = read_expectations("assets/prompts/unseen-100.json", domain);
//   ScoreTable table;
//   table.add(compare(asked[0], judge(frames, domain, {.objects = 1})));
//   std::cout << table.text();
//
// The file is a JSON list of {"prompt", "objects": [{"colour", "shape", "size", "motion", "place"}], "background"}; all
// but colour and shape may be left out where the prompt leaves them open, and are not scored then. "file" may name the
// clip.
// Two objects are matched with the two that were seen in whichever order makes more right. An attribute that was not
// recognised is wrong. A clip is all right when every attribute is, nothing half as large as an object strays beside,
// and no object is there that nobody asked for. Errors: Error that names the file, the entry and the key.
#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "pipelines/quality/domain.h"
#include "pipelines/quality/judge.h"

namespace bitreel::quality {

struct ExpectedObject {
  std::string colour, shape;
  std::string size = {}, motion = {}, place = {};  // empty: not asked
};

struct Expectation {
  std::string prompt;
  std::string file;  // empty: not named
  std::vector<ExpectedObject> objects;
  std::string background;  // empty: not asked
};

[[nodiscard]] std::vector<Expectation> read_expectations(const std::filesystem::path& file, const Domain& domain);

struct Count {
  int right = 0, asked = 0;
  [[nodiscard]] double percent() const { return asked > 0 ? 100.0 * right / asked : 0; }
};

enum class Attribute { colour, shape, motion, size, place, background, everything };
inline constexpr std::array<const char*, 7> attribute_names{"colour", "shape",      "motion", "size",
                                                            "place",  "background", "all"};

struct ClipScore {
  std::array<Count, attribute_names.size()> counts;  // by Attribute; everything: the clip as a whole, 0 or 1 of 1
  std::vector<SeenObject> matched;                   // what was taken for each expected object, in the prompt's order
  [[nodiscard]] const Count& of(Attribute attribute) const { return counts[static_cast<size_t>(attribute)]; }
};

[[nodiscard]] ClipScore compare(const Expectation& asked, const Judgement& seen);
// The same without matching: the first object asked for is the first that was seen.
[[nodiscard]] ClipScore compare_in_order(const Expectation& asked, const Judgement& seen);
// Attributes that were asked and are not right.
[[nodiscard]] int wrong_in(const ClipScore& score);

// One- and two-object prompts are kept apart.
class ScoreTable {
 public:
  void add(const ClipScore& score);
  [[nodiscard]] const Count& of(int objects, Attribute attribute) const;
  [[nodiscard]] Count of(Attribute attribute) const;  // of both
  [[nodiscard]] std::string text() const;

 private:
  std::array<std::array<Count, attribute_names.size()>, 2> counts_;
};

}  // namespace bitreel::quality
