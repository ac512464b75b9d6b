// The least score that a judgement must reach, as a person writes it.
//
//   const ScoreFloor floor = parse_score_floor("one.colour=98");   // percent, of the prompts for one object
//   floor.missed_by(table);   // "one.colour is 96.0 % (24 of 25), asked was 98 %"; empty: reached
//
// ATTRIBUTE=PERCENT, of all prompts together; one.ATTRIBUTE or two.ATTRIBUTE of those for so many objects. A floor of
// something that no prompt asked for is missed. Anything else is a UsageError that says what is known.
#pragma once

#include <optional>
#include <string>

#include "pipelines/quality/score.h"

namespace bitreel {

struct ScoreFloor {
  std::string name;            // as written
  std::optional<int> objects;  // nothing: all prompts
  quality::Attribute attribute = quality::Attribute::everything;
  double percent = 0;

  [[nodiscard]] std::string missed_by(const quality::ScoreTable& table) const;
};

[[nodiscard]] ScoreFloor parse_score_floor(const std::string& text);

}  // namespace bitreel
