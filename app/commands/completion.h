// bitreel completion bash|zsh|fish: a shell's completions. bitreel completion man: the manual page. Both are made from
// the flags themselves.
//
//   bitreel completion bash > /usr/share/bash-completion/completions/bitreel
//   bitreel completion man | man -l -
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace bitreel {

// Added last: it describes the commands that `app` has by then.
void add_completion(CLI::App& app);

std::string bash_completion(const CLI::App& app);
std::string zsh_completion(const CLI::App& app);
std::string fish_completion(const CLI::App& app);
// roff, for man(7).
std::string manual_page(const CLI::App& app);

}  // namespace bitreel
