// Libraries name fields, the program names flags: what is marked as a field is one that a person can give.
#include "app/flag_names.h"

#include <gmock/gmock.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <utility>
#include <vector>

#include "app/commands/generate.h"
#include "app/commands/plan.h"

namespace bitreel::test {
namespace {

namespace fs = std::filesystem;

TEST(FlagNames, StandForMarkedFields) {
  EXPECT_EQ(with_flags("`num_frames` 42: try `steps` 4"), "--num-frames 42: try --steps 4");
  EXPECT_EQ(with_flags("without `vae_tiling`"), "without --vae-tiling");
  EXPECT_EQ(with_flags("none"), "none");
  EXPECT_EQ(with_flags(""), "");
}

TEST(FlagNames, LeaveOtherBackquotes) {
  for (const char* text : {"`", "``", "a`b", "`a b`", "`A`", "clip`1.mp4", "`Width`: wide"})
    EXPECT_EQ(with_flags(text), text);
  EXPECT_EQ(with_flags("it`s 3 `steps` long"), "it`s 3 --steps long");
}

// String literals in the code of the rooms below app/, with the file that they are in.
std::vector<std::pair<std::string, fs::path>> literals_of_libraries() {
  std::vector<std::pair<std::string, fs::path>> all;
  const std::regex literal(R"("(?:[^"\\]|\\.)*")");
  for (const char* room : {"base", "attention", "schedulers", "pipelines"}) {
    for (const auto& entry : fs::recursive_directory_iterator(room)) {
      if (entry.path().extension() != ".cpp" && entry.path().extension() != ".h") continue;
      std::ifstream stream(entry.path());
      for (std::string line; std::getline(stream, line);) {
        if (line.find("--") == std::string::npos && line.find('`') == std::string::npos) continue;
        if (line.find_first_not_of(' ') == line.find("//")) continue;
        for (std::sregex_iterator found(line.begin(), line.end(), literal), end; found != end; ++found)
          all.emplace_back(found->str(), entry.path());
      }
    }
  }
  return all;
}

TEST(FlagNames, AreTheProgramsAlone) {
  CLI::App app;
  add_generate(app);
  add_plan(app);
  const std::regex flag(R"((^|[^-])--[a-z])"), field("`([a-z_]+)`");
  int fields = 0;
  for (const auto& [text, file] : literals_of_libraries()) {
    const bool of_the_script = text.find("./dev") != std::string::npos;
    EXPECT_TRUE(of_the_script || !std::regex_search(text, flag)) << file << " names a flag: " << text;
    for (std::sregex_iterator found(text.begin(), text.end(), field), end; found != end; ++found, ++fields) {
      const std::string name = with_flags(found->str());
      const auto known = [&](const CLI::App* command) { return command->get_option_no_throw(name) != nullptr; };
      EXPECT_TRUE(std::ranges::any_of(app.get_subcommands({}), known)) << file << ": no command has " << name;
    }
  }
  EXPECT_GT(fields, 50);
}

}  // namespace
}  // namespace bitreel::test
