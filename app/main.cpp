// The bitreel program: reads the command line, runs one command, prints errors, picks the exit code.
//
// 0: done. 1: it failed. 2: the command line or a configuration makes no sense. 128 + n: stopped by signal n.
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <exception>
#include <new>

#include "app/commands/attention_bench.h"
#include "app/commands/batch.h"
#include "app/commands/calibrate.h"
#include "app/commands/compare.h"
#include "app/commands/decode.h"
#include "app/commands/generate.h"
#include "app/commands/info.h"
#include "app/commands/judge.h"
#include "app/commands/plan.h"
#include "app/flags.h"
#include "app/interrupt.h"
#include "base/error.h"
#include "bitreel/version.h"

namespace {

enum ExitCode { done = 0, failed = 1, misused = 2 };

int report(ExitCode code, const std::string& message, const std::string& hint = {}) {
  fmt::print(stderr, "bitreel: {}\n", message);
  if (!hint.empty()) fmt::print(stderr, "         {}\n", hint);
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
  app.footer("bitreel COMMAND --help lists a command's flags.");
  // Arguments that nothing took are refused by refuse_unknown, which knows what was meant.
  app.allow_extras();
  for (CLI::App* command : app.get_subcommands({})) command->allow_extras();
  app.parse_complete_callback([&app] { bitreel::refuse_unknown(app); });
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& e) {
    return app.exit(e);
  } catch (const CLI::CallForVersion& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    return report(misused, e.what(), "bitreel --help and bitreel COMMAND --help list what there is");
  }
  if (app.get_subcommands().empty()) {
    return report(misused, "no command given",
                  "bitreel generate --prompt \"a red circle moves right\"; bitreel --help");
  }
  return done;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file-size limit is then a failed write, like a full disk
  try {
    return run(argc, argv);
  } catch (const bitreel::UsageError& e) {
    return report(misused, e.what(), e.hint());
  } catch (const bitreel::Error& e) {
    return report(failed, e.what(), e.hint());
  } catch (const bitreel::Interrupted& interrupted) {
    report(failed, fmt::format("interrupted: {}", interrupted.outcome));
    return 128 + interrupted.signal;
  } catch (const c10::Error& e) {
    return report(failed, e.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    return report(failed, "out of memory", "try --vae-tiling, a smaller size or fewer frames");
  } catch (const std::exception& e) {
    return report(failed, e.what());
  }
}
