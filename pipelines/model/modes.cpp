#include "pipelines/model/modes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "base/nearest.h"

namespace bitreel {
namespace {

// How an input is called, and the field that holds it.
struct Input {
  const char* name;
  const char* field;
};

Input input_of(Medium medium) {
  return medium == Medium::text ? Input{"prompt", "`prompt`"} : Input{"picture", "`image`"};
}

// "`prompt` for text-to-video", mode by mode.
std::string inputs_text(const std::vector<Mode>& modes) {
  std::string text;
  for (const Mode& mode : modes) {
    if (!mode.takes) continue;
    text += fmt::format("{}{} for {}", text.empty() ? "" : ", ", input_of(*mode.takes).field, mode.name);
  }
  return text;
}

// Another mode that takes just what is given.
std::string other_mode(const std::vector<Mode>& modes, std::optional<Medium> given) {
  const auto other = std::ranges::find(modes, given, &Mode::takes);
  return other == modes.end() ? "" : fmt::format(", or choose `mode` {}", other->name);
}

const Mode& inferred(const std::vector<Mode>& modes, const std::set<Medium>& given) {
  const auto fits = [&](const Mode& mode) { return !mode.takes || given.contains(*mode.takes); };
  const auto first = std::ranges::find_if(modes, fits);
  if (first != modes.end()) return *first;
  throw UsageError(fmt::format("there is no {}, which this model needs", input_of(*modes.front().takes).name),
                   inputs_text(modes));
}

}  // namespace

const Mode& mode_named(const std::vector<Mode>& modes, const std::string& name) {
  if (name.empty()) return modes.front();
  std::vector<std::string> names;
  for (const Mode& mode : modes) {
    if (mode.name == name) return mode;
    names.push_back(mode.name);
  }
  const std::string meant = nearest(name, names);
  throw UsageError(
      fmt::format("`mode` is \"{}\", expected {}", name, fmt::join(names, ", ")),
      meant.empty() ? "bitreel info MODEL says what each takes and makes" : fmt::format("did you mean {}?", meant));
}

const Mode& choose_mode(const std::vector<Mode>& modes, const std::string& name, const std::set<Medium>& given) {
  const Mode& mode = name.empty() ? inferred(modes, given) : mode_named(modes, name);
  if (mode.takes && !given.contains(*mode.takes)) {
    const Input input = input_of(*mode.takes);
    throw UsageError(fmt::format("mode {} takes a {}, and there is none", mode.name, input.name),
                     fmt::format("give {}{}", input.field, given.empty() ? other_mode(modes, std::nullopt) : ""));
  }
  for (const Medium medium : given) {
    if (mode.takes == medium) continue;
    const Input input = input_of(medium);
    throw UsageError(fmt::format("mode {} takes no {}", mode.name, input.name),
                     fmt::format("leave out {}{}", input.field, given.size() == 1 ? other_mode(modes, medium) : ""));
  }
  return mode;
}

}  // namespace bitreel
