#include "app/front_door.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

#include "app/interrupt.h"
#include "base/standard_streams.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

constexpr const char* engine_name = "bitreel-engine";

std::vector<std::string> own_arguments() {
  std::vector<std::string> arguments;
  std::ifstream stream("/proc/self/cmdline", std::ios::binary);
  for (std::string argument; std::getline(stream, argument, '\0');) arguments.push_back(argument);
  return arguments;
}

}  // namespace

void become_engine() {
  if (interrupt_requested()) {  // between two processes it would be forgotten
    std::signal(SIGINT, SIG_DFL);
    std::raise(SIGINT);
  }
  std::vector<std::string> arguments = own_arguments();
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  std::error_code unknown;
  const fs::path folder = fs::read_symlink("/proc/self/exe", unknown).parent_path();
  for (const fs::path& engine : {folder / engine_name, folder / BITREEL_ENGINE_FOLDER / engine_name}) {
    execv(engine.c_str(), pointers.data());
    if (errno == ENOENT) continue;
    print_error(fmt::format("bitreel: {}: {}\n", engine.string(), std::generic_category().message(errno)));
    _exit(1);
  }
  print_error(
      fmt::format("bitreel: {} is missing: it belongs beside the program, in {}\n", engine_name, folder.string()));
  _exit(1);
}

}  // namespace bitreel
