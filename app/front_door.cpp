#include "app/front_door.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

#include "base/printable.h"
#include "base/standard_streams.h"

// Defined where there are stand-ins.
extern "C" [[gnu::weak]] void bitreel_stand_in();

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

[[noreturn]] void fail(const std::string& text) {
  print_error(printable_lines(fmt::format("bitreel: {}\n", text)));
  _exit(1);
}

}  // namespace

void need_whole_program() {
  if (bitreel_stand_in != nullptr) become_whole();
}

void become_whole() {
  std::vector<std::string> arguments = own_arguments();
  std::vector<char*> pointers;
  pointers.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  std::error_code unknown;
  const fs::path folder = fs::read_symlink("/proc/self/exe", unknown).parent_path();
  for (const fs::path& engine : {folder / engine_name, folder / BITREEL_ENGINE_FOLDER / engine_name}) {
    execv(engine.c_str(), pointers.data());
    if (errno != ENOENT) fail(fmt::format("{}: {}", engine.string(), std::generic_category().message(errno)));
  }
  fail(fmt::format("{} is missing: it belongs beside the program, in {}", engine_name, folder.string()));
}

}  // namespace bitreel
