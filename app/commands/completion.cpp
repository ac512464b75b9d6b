#include "app/commands/completion.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "bitreel/version.h"

namespace bitreel {
namespace {

// A flag's values when its type names them all, such as ddim|dpm.
std::vector<std::string> choices_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  std::vector<std::string> choices;
  if (type.find('|') == std::string::npos) return choices;
  for (std::size_t begin = 0; begin <= type.size();) {
    const std::size_t end = std::min(type.find('|', begin), type.size());
    choices.push_back(type.substr(begin, end - begin));
    begin = end + 1;
  }
  return choices;
}

std::vector<std::string> names_of(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  return names;
}

bool takes_value(const CLI::Option& option) {
  return option.get_items_expected_max() > 0;
}

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size())) {
    text.replace(at, what.size(), with);
  }
  return text;
}

// As a word in single quotes, for POSIX shells.
std::string quoted(const std::string& text) {
  return fmt::format("'{}'", replaced(text, "'", "'\\''"));
}

// In roff a backslash begins an escape, a dash may become a hyphen, and a dot or quote at a line's start a request.
std::string roff(const std::string& text) {
  std::string escaped = replaced(replaced(text, "\\", "\\e"), "-", "\\-");
  if (escaped.starts_with('.') || escaped.starts_with('\'')) escaped = "\\&" + escaped;
  return replaced(escaped, "\n", "\n.br\n");
}

void describe_options(const CLI::App& app, std::string& page) {
  for (const CLI::Option* option : app.get_options()) {
    const std::vector<std::string> names = names_of(*option);
    const std::string head = names.empty() ? option->get_name() : fmt::format("{}", fmt::join(names, ", "));
    const std::string value =
        takes_value(*option) && !names.empty() ? fmt::format(" {}", option->get_type_name()) : std::string();
    page += fmt::format(".TP\n.B {}\n{}\n", roff(head + value), roff(option->get_description()));
  }
}

}  // namespace

std::string bash_completion(const CLI::App& app) {
  std::vector<std::string> commands;
  std::string flags, values;
  for (const CLI::App* command : commands_of(app)) {
    commands.push_back(command->get_name());
    std::vector<std::string> names;
    for (const CLI::Option* option : command->get_options()) {
      for (const std::string& name : names_of(*option)) names.push_back(name);
      const std::vector<std::string> choices = choices_of(*option);
      if (choices.empty() || names_of(*option).empty()) continue;
      values += fmt::format("    {}) COMPREPLY=($(compgen -W {} -- \"$word\")); return ;;\n",
                            command->get_name() + ":" + names_of(*option).back(),
                            quoted(fmt::format("{}", fmt::join(choices, " "))));
    }
    flags +=
        fmt::format("    {}) flags={} ;;\n", command->get_name(), quoted(fmt::format("{}", fmt::join(names, " "))));
  }
  return fmt::format(
      "# bash completion for bitreel {}\n"
      "_bitreel() {{\n"
      "  local word=${{COMP_WORDS[COMP_CWORD]}} command=${{COMP_WORDS[1]}} flags=''\n"
      "  if ((COMP_CWORD == 1)); then COMPREPLY=($(compgen -W {} -- \"$word\")); return; fi\n"
      "  case $command:${{COMP_WORDS[COMP_CWORD-1]}} in\n{}  esac\n"
      "  case $command in\n{}  esac\n"
      "  if [[ $word == -* ]]; then COMPREPLY=($(compgen -W \"$flags\" -- \"$word\")); else compopt -o default; fi\n"
      "}}\n"
      "complete -F _bitreel bitreel\n",
      version, quoted(fmt::format("{} --help --version", fmt::join(commands, " "))), values, flags);
}

std::string zsh_completion(const CLI::App& app) {
  std::string commands, flags;
  for (const CLI::App* command : commands_of(app)) {
    commands +=
        fmt::format("    {}\n", quoted(command->get_name() + ":" + replaced(command->get_description(), ":", "\\:")));
    std::string specifications;
    for (const CLI::Option* option : command->get_options()) {
      const std::vector<std::string> choices = choices_of(*option);
      const std::string action = choices.empty() ? "_files" : fmt::format("({})", fmt::join(choices, " "));
      const std::string help = replaced(replaced(replaced(option->get_description(), "[", "("), "]", ")"), "\n", " ");
      for (const std::string& name : names_of(*option)) {
        const std::string value = takes_value(*option)
                                      ? fmt::format(":{}:{}", replaced(option->get_type_name(), ":", "\\:"), action)
                                      : std::string();
        specifications += fmt::format(" \\\n        {}", quoted(fmt::format("{}[{}]{}", name, help, value)));
      }
    }
    flags += fmt::format("      {}) _arguments{} '*:file:_files' ;;\n", command->get_name(), specifications);
  }
  return fmt::format(
      "#compdef bitreel\n"
      "_bitreel() {{\n"
      "  local -a commands=(\n{}  )\n"
      "  if ((CURRENT == 2)); then _describe command commands; return; fi\n"
      "  local command=$words[2]\n"
      "  shift words; ((CURRENT--))\n"
      "  case $command in\n{}  esac\n"
      "}}\n"
      "_bitreel \"$@\"\n",
      commands, flags);
}

std::string fish_completion(const CLI::App& app) {
  std::string text;
  for (const CLI::App* command : commands_of(app)) {
    const std::string& name = command->get_name();
    text += fmt::format("complete -c bitreel -n __fish_use_subcommand -a {} -d {}\n", name,
                        quoted(command->get_description()));
    for (const CLI::Option* option : command->get_options()) {
      if (names_of(*option).empty()) continue;
      std::string flags;
      for (const std::string& letter : option->get_snames()) flags += " -s " + letter;
      for (const std::string& flag : option->get_lnames()) flags += " -l " + flag;
      const std::vector<std::string> choices = choices_of(*option);
      if (!choices.empty()) flags += fmt::format(" -x -a {}", quoted(fmt::format("{}", fmt::join(choices, " "))));
      if (choices.empty() && takes_value(*option)) flags += " -r";
      text += fmt::format("complete -c bitreel -n '__fish_seen_subcommand_from {}'{} -d {}\n", name, flags,
                          quoted(replaced(option->get_description(), "\n", " ")));
    }
  }
  return text;
}

std::string manual_page(const CLI::App& app) {
  std::string page = fmt::format(
      ".TH BITREEL 1 \"\" \"bitreel {}\" \"User Commands\"\n"
      ".SH NAME\nbitreel \\- {}\n"
      ".SH SYNOPSIS\n.B bitreel\n.I COMMAND\n[\\fIflags\\fR]\n",
      version, roff(app.get_description()));
  page += ".SH OPTIONS\n";
  describe_options(app, page);
  page += ".SH COMMANDS\n";
  for (const CLI::App* command : commands_of(app)) {
    page += fmt::format(".SS bitreel {}\n{}\n", roff(command->get_name()), roff(command->get_description()));
    describe_options(*command, page);
  }
  return page +
         ".SH EXIT STATUS\n0 done, 1 it failed, 2 the command line or configuration makes no sense, 128 + n stopped by "
         "signal n.\n";
}

void add_completion(CLI::App& app) {
  using Writer = std::string (*)(const CLI::App&);
  static constexpr std::array<std::pair<const char*, Writer>, 4> writers = {
      {{"bash", bash_completion}, {"zsh", zsh_completion}, {"fish", fish_completion}, {"man", manual_page}}};
  CLI::App* command = app.add_subcommand("completion", "Completions for a shell, or the manual page, on stdout");
  auto wanted = std::make_shared<std::string>();
  command->add_option("for", *wanted, "bash, zsh, fish or man")->required()->type_name("bash|zsh|fish|man");
  command->callback([&app, wanted] {
    for (const auto& [name, write] : writers) {
      if (*wanted == name) {
        std::cout << write(app);
        return;
      }
    }
    throw UsageError(fmt::format("completion for \"{}\", expected bash, zsh, fish or man", *wanted));
  });
}

}  // namespace bitreel
