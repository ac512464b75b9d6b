#include "app/flags.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/nearest.h"

namespace bitreel {
namespace {

std::vector<std::string> flags_of(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

void refuse(const std::string& what, const std::string& got, const std::vector<std::string>& known,
            const std::string& help) {
  const std::string meant = nearest(got, known);
  throw UsageError(fmt::format("unknown {} {}", what, got),
                   meant.empty() ? fmt::format("{} lists them", help) : fmt::format("did you mean {}?", meant));
}

}  // namespace

Flags::Flags(CLI::App& command, const std::function<bool(const Setting&)>& wanted) {
  for (const Setting& setting : settings()) {
    if (!wanted(setting)) continue;
    const auto keep = [this, &setting](const std::string& text) { typed_.emplace_back(&setting, text); };
    const std::string name = (setting.letter.empty() ? "" : "-" + setting.letter + ",") + "--" + setting.name;
    if (setting.form == SettingForm::toggle) {
      const std::string both = setting.name.starts_with("no-") ? name : name + ",!--no-" + setting.name;
      command.add_flag(both, setting.help)
          ->group(setting.group)
          ->each(keep)
          ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
      continue;
    }
    CLI::Option* option = command.add_option(
        name, [keep](const CLI::results_t& values) { return keep(values.front()), true; }, setting.help);
    // Given twice, the last one holds: an alias or a script can be overruled at its end.
    option->type_name(setting.shape)->group(setting.group)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    if (setting.form == SettingForm::optional_value) {
      option->expected(0, 1)->default_str(setting.implied);
    }
  }
}

void Flags::apply(GenerateOptions& options) const {
  for (const auto& [setting, text] : typed_) setting->set(options, text, "--" + setting->name);
}

std::vector<std::string> with_words_joined(const std::vector<std::string>& arguments) {
  std::vector<std::string> joined;
  for (const std::string& argument : arguments) {
    const bool is_word = !joined.empty() && std::ranges::any_of(settings(), [&](const Setting& setting) {
      return !setting.word.empty() && argument == setting.word && joined.back() == "--" + setting.name;
    });
    if (is_word) {
      joined.back() += "=" + argument;
    } else {
      joined.push_back(argument);
    }
  }
  return joined;
}

void refuse_unknown(const CLI::App& app) {
  for (const CLI::App* command : app.get_subcommands()) {
    const std::vector<std::string> rest = command->remaining();
    if (rest.empty()) continue;
    const std::string got = rest.front().substr(0, rest.front().find('='));
    const std::string help = fmt::format("bitreel {} --help", command->get_name());
    if (got.starts_with('-')) refuse("flag", got, flags_of(*command), help);
    throw UsageError(fmt::format("unexpected argument \"{}\"", got), "quote a prompt that holds spaces; " + help);
  }
  const std::vector<std::string> rest = app.remaining();
  if (rest.empty()) return;
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  if (rest.front().starts_with('-')) refuse("flag", rest.front(), flags_of(app), "bitreel --help");
  refuse("command", rest.front(), names, "bitreel --help");
}

}  // namespace bitreel
