// The settings of options.h as command-line flags of one subcommand.
//
//   const auto flags = std::make_shared<Flags>(*command, [](const Setting&) { return true; });
//   command->callback([=] {
//     GenerateOptions options;
//     apply_yaml(options, file);
//     flags->apply(options);
//   });
//
// Typed values are kept and applied later, so that flags win over a configuration file.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "app/options.h"

namespace bitreel {

class Flags {
 public:
  // Adds the settings that `wanted` is true for. The object must outlive the parse.
  Flags(CLI::App& command, const std::function<bool(const Setting&)>& wanted);
  Flags(const Flags&) = delete;
  Flags& operator=(const Flags&) = delete;

  void apply(GenerateOptions& options) const;

 private:
  std::vector<std::pair<const Setting*, std::string>> typed_;
};

// Command lines with a toggle's word ("--vae-tiling", "auto") as one argument: CLI11 would take whatever follows a flag
// for its value, or nothing.
std::vector<std::string> with_words_joined(const std::vector<std::string>& arguments);

// Throws UsageError for arguments that no command took, naming the nearest flag or command.
void refuse_unknown(const CLI::App& app);

}  // namespace bitreel
