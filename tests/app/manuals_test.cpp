// Headers read as manuals, so what they show has to be true: every example of a room's headers is also in a test named
// examples_test.cpp, which compiles and runs it.
#include <gmock/gmock.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/files.h"

namespace bitreel::test {
namespace {

namespace fs = std::filesystem;

// Without comments and white space, which formatting moves.
std::string bare(const std::string& line) {
  std::string code = line.substr(0, line.find("//"));
  std::erase_if(code, [](unsigned char c) { return std::isspace(c) != 0; });
  return code;
}

std::vector<fs::path> files_under(const fs::path& folder, const std::string& ending) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().string().ends_with(ending)) files.push_back(entry.path());
  }
  return files;
}

// The indented lines of the comment that a header begins with; command lines are other tests' business.
std::vector<std::string> example_lines(const fs::path& header) {
  std::vector<std::string> lines;
  std::ifstream stream(header);
  for (std::string line; std::getline(stream, line) && line.starts_with("//");) {
    if (!line.starts_with("//   ")) continue;
    const std::string code = bare(line.substr(2));
    if (!code.empty() && !line.starts_with("//   bitreel ")) lines.push_back(code);
  }
  return lines;
}

TEST(Manuals, ShowNothingThatNoTestCompilesAndRuns) {
  std::string tested;
  for (const fs::path& file : files_under("tests", "examples_test.cpp")) {
    std::istringstream text(read_text(file));
    for (std::string line; std::getline(text, line);) tested += bare(line);
  }
  int examples = 0;
  for (const char* room : {"app", "pipelines", "schedulers/noise"}) {
    for (const fs::path& header : files_under(room, ".h")) {
      for (const std::string& line : example_lines(header)) {
        EXPECT_NE(tested.find(line), std::string::npos) << header << " shows a line that no test holds: " << line;
        ++examples;
      }
    }
  }
  EXPECT_GT(examples, 100);
}

}  // namespace
}  // namespace bitreel::test
