#include "app/commands/score_floor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/number_text.h"

namespace bitreel {

using quality::attribute_names;

std::string ScoreFloor::missed_by(const quality::ScoreTable& table) const {
  const quality::Count count = objects ? table.of(*objects, attribute) : table.of(attribute);
  if (count.asked == 0) return fmt::format("{} was asked by no prompt", name);
  if (count.percent() >= percent) return "";
  return fmt::format("{} is {:.1f} % ({} of {}), asked was {:g} %", name, count.percent(), count.right, count.asked,
                     percent);
}

ScoreFloor parse_score_floor(const std::string& text) {
  const auto refuse = [&] {
    throw UsageError(fmt::format("--at-least {}: expected ATTRIBUTE=PERCENT, as in one.colour=98", text),
                     fmt::format("attributes are {}; one. or two. before it takes the prompts for so many objects",
                                 fmt::join(attribute_names, ", ")));
  };
  const size_t equals = text.find('=');
  if (equals == std::string::npos) refuse();
  ScoreFloor floor{.name = text.substr(0, equals), .objects = {}};
  std::string attribute = floor.name;
  for (const auto& [prefix, objects] : {std::pair("one.", 1), std::pair("two.", 2)})
    if (floor.name.starts_with(prefix)) {
      floor.objects = objects;
      attribute = floor.name.substr(4);
    }
  const auto* const known = std::ranges::find_if(attribute_names, [&](const char* name) { return attribute == name; });
  if (known == attribute_names.end()) refuse();
  floor.attribute = static_cast<quality::Attribute>(known - attribute_names.begin());
  const std::optional<double> percent = number_from<double>(std::string_view(text).substr(equals + 1));
  if (!percent || !(*percent >= 0 && *percent <= 100)) refuse();
  floor.percent = *percent;
  return floor;
}

}  // namespace bitreel
