#include "app/commands/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "app/commands/generate.h"
#include "app/compare/compare_videos.h"
#include "app/compare/run_comparison.h"
#include "app/console.h"
#include "app/flags.h"
#include "app/front_door.h"
#include "app/interrupt.h"
#include "base/error.h"
#include "base/written_file.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

struct CompareCommand {
  std::unique_ptr<Flags> flags;
  std::vector<fs::path> files;
  fs::path prompts;
  fs::path output;
  std::vector<std::string> attentions;
  ProgressStyle progress = ProgressStyle::automatic;
};

bool is_yaml(const fs::path& file) {
  return file.extension() == ".yaml" || file.extension() == ".yml";
}

Comparison comparison_from(const CompareCommand& command) {
  GenerateOptions options;
  command.flags->apply(options);
  if (command.files.empty()) return comparison_of(command.attentions, command.prompts, options);
  Comparison comparison = read_comparison(command.files.front());
  for (Variant& variant : comparison.variants) command.flags->apply(variant.options);  // flags win
  if (options.seed) {
    for (std::size_t i = 0; i < comparison.seeds.size(); ++i) comparison.seeds[i] = *options.seed + i;
  }
  return comparison;
}

void check(const CompareCommand& command) {
  const bool by_flags = !command.prompts.empty() || !command.attentions.empty();
  if (command.output.empty() || (command.files.empty() && (command.prompts.empty() || command.attentions.empty()))) {
    throw UsageError("compare needs something to compare and a folder",
                     "a YAML file, or --prompts FILE --attention int8, or two videos; and --output out/compare");
  }
  const bool has_yaml = std::ranges::any_of(command.files, is_yaml);
  if (has_yaml && command.files.size() > 1) {
    throw UsageError(fmt::format("compare got {} files, one of them YAML", command.files.size()),
                     "one YAML file, or videos alone");
  }
  if (!command.files.empty() && by_flags) {
    throw UsageError(fmt::format("compare got {} and --prompts or --attention", command.files.front().string()),
                     has_yaml ? "the file's own keys say it: prompts, variants" : "videos that exist have neither");
  }
}

void compare(const CompareCommand& command) {
  check(command);
  need_whole_program();
  const bool was_there = fs::exists(command.output);
  make_folder(command.output);
  try {
    check_can_write(command.output / "compare.json");
    watch_interrupts();
    Console console(command.progress);
    if (!command.files.empty() && !is_yaml(command.files.front())) {
      compare_videos(command.files, command.output, console);
    } else {
      run_comparison(comparison_from(command), command.output, console);
    }
  } catch (...) {
    std::error_code ignored;
    if (!was_there) fs::remove(command.output, ignored);  // an empty one, that is
    throw;
  }
}

}  // namespace

void add_compare(CLI::App& app) {
  CLI::App* command = app.add_subcommand("compare", "The same clips in several ways, side by side");
  auto state = std::make_shared<CompareCommand>();
  command
      ->add_option("files", state->files, "A YAML file of what to compare, or two videos or more, the baseline first")
      ->type_name("FILE");
  command->add_option("--prompts", state->prompts, "JSON list of prompts, or text with one a line")->type_name("FILE");
  command->add_option("--attention", state->attentions, "A precision, a one-line plan or a plan file; may be repeated")
      ->type_name("PLAN");
  command->add_option("--output,-o", state->output, "The folder for clips and the report")->type_name("DIR");
  state->flags = std::make_unique<Flags>(*command, [](const Setting& setting) {
    const auto& settled = settled_by_comparison();
    return setting.name != "attention" && std::ranges::find(settled, setting.name) == settled.end();
  });
  add_progress_flag(*command, state->progress);
  command->callback([state] { compare(*state); });
}

}  // namespace bitreel
