// The bitreel program: reads the command line, runs one command, prints errors, picks the exit code.
//
// 0: done. 1: it failed, or what it wrote to standard output did not get there. 2: the command line or a configuration
// makes no sense. 128 + n: stopped by signal n; 141, too, when the reader of standard output left.
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <new>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "app/allocation.h"
#include "app/commands/attention_bench.h"
#include "app/commands/batch.h"
#include "app/commands/calibrate.h"
#include "app/commands/compare.h"
#include "app/commands/completion.h"
#include "app/commands/decode.h"
#include "app/commands/generate.h"
#include "app/commands/info.h"
#include "app/commands/judge.h"
#include "app/commands/model_bench.h"
#include "app/commands/plan.h"
#include "app/flag_names.h"
#include "app/flags.h"
#include "app/interrupt.h"
#include "base/error.h"
#include "base/printable.h"
#include "base/standard_streams.h"
#include "bitreel/version.h"
#include "pipelines/checkpoint/mapped_file.h"

namespace {

enum ExitCode { done = 0, failed = 1, misused = 2 };

int report(ExitCode code, std::string message, const std::string& hint = {}) {
  message = bitreel::with_flags(message);
  constexpr std::size_t most_bytes = 4096;  // it may quote what a file says
  if (message.size() > most_bytes)
    message = fmt::format("{}... ({} bytes)", message.substr(0, most_bytes), message.size());
  bitreel::print_error(bitreel::printable_lines(fmt::format("bitreel: {}\n", message)));
  if (!hint.empty())
    bitreel::print_error(bitreel::printable_lines(fmt::format("         {}\n", bitreel::with_flags(hint))));
  return code;
}

int run(int argc, char** argv) {
  CLI::App app("Bitreel turns a prompt into a video, natively in C++.", "bitreel");
  app.set_version_flag("--version", bitreel::version);
  bitreel::add_generate(app);
  bitreel::add_decode(app);
  bitreel::add_resume(app);
  bitreel::add_info(app);
  bitreel::add_judge(app);
  bitreel::add_plan(app);
  bitreel::add_calibrate(app);
  bitreel::add_batch(app);
  bitreel::add_compare(app);
  bitreel::add_bench(app);
  bitreel::add_model_benches(*app.get_subcommand("bench"));
  bitreel::add_completion(app);
  app.footer("bitreel COMMAND --help lists a command's flags.");
  // Arguments that nothing took are refused by refuse_unknown, which knows what was meant.
  app.allow_extras();
  for (CLI::App* command : app.get_subcommands({})) command->allow_extras();
  app.parse_complete_callback([&app] { bitreel::refuse_unknown(app); });
  try {
    std::vector<std::string> arguments = bitreel::with_words_joined({argv + 1, argv + argc});
    std::ranges::reverse(arguments);  // as CLI11 takes them
    app.parse(std::move(arguments));
  } catch (const CLI::Success& e) {  // --help, --version
    std::ostringstream text;
    app.exit(e, text);
    bitreel::print_output(text.str());
    return done;
  } catch (const CLI::ParseError& e) {
    return report(misused, e.what(), "bitreel --help and bitreel COMMAND --help list what there is");
  }
  if (app.get_subcommands().empty()) {
    return report(misused, "no command given",
                  "bitreel generate --prompt \"a red circle moves right\"; bitreel --help");
  }
  return done;
}

int run_and_report(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const bitreel::UsageError& e) {
    return report(misused, e.what(), e.hint());
  } catch (const bitreel::Error& e) {
    return report(failed, e.what(), e.hint());
  } catch (const bitreel::Interrupted& interrupted) {
    report(failed, fmt::format("interrupted: {}", interrupted.outcome));
    return 128 + interrupted.signal;
  } catch (const c10::OutOfMemoryError& e) {
    return report(failed, e.what_without_backtrace(),
                  "try --offload layers, --vae-tiling, a smaller size or fewer frames");
  } catch (const c10::Error& e) {
    return report(failed, e.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    return report(failed, "out of memory", "try --vae-tiling, a smaller size or fewer frames");
  } catch (const std::exception& e) {
    return report(failed, e.what());
  }
}

// The exit code, once standard output is out.
int ended(int code) {
  const bitreel::OutputEnd end = bitreel::end_output();
  if (code != done || end.outcome == bitreel::OutputEnd::Outcome::whole) return code;
  if (end.outcome == bitreel::OutputEnd::Outcome::reader_left) return 128 + SIGPIPE;
  return report(failed, fmt::format("standard output: cannot write: {}", end.reason));
}

}  // namespace

int main(int argc, char** argv) {
  bitreel::ready_standard_streams();
  std::signal(SIGXFSZ, SIG_IGN);  // a file-size limit is then a failed write, like a full disk
  bitreel::watch_mapped_files();
  bitreel::prepare_allocation();
  // At once: LibTorch takes 0.2 s to take its operators' tables down, which the system does as well.
  std::_Exit(ended(run_and_report(argc, argv)));
}
