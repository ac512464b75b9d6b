// Headers read as manuals, so what they show has to be true: every example is also in a test, in a file that is named
// *examples_test.cpp, which compiles and runs it.
//
// An example is a block of indented lines, after an empty one, of the comment that a header begins with. The test holds
// the same block whole; comments and white space may differ. YAML and JSON are examples as well: a test reads them.
// Indented lines that go on from a sentence are part of it: a formula, a table, a layout. Command lines (bitreel ...)
// are for the tests of commands. Headers of device code (.cuh) are not looked at: only a kernel can run what they show.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cctype>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/files.h"
#include "tests/temporary_folder.h"

namespace bitreel::test {
namespace {

namespace fs = std::filesystem;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Without comments and white space, which formatting moves.
std::string bare(const std::string& text) {
  std::string code;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) code += line.substr(0, line.find("//"));
  std::erase_if(code, [](unsigned char c) { return std::isspace(c) != 0; });
  return code;
}

// Blocks of the header's first comment, as they stand there.
std::vector<std::string> examples_of(const fs::path& header) {
  std::vector<std::string> blocks;
  std::ifstream stream(header);
  bool inside = false;
  std::string before;
  for (std::string line; std::getline(stream, line) && line.starts_with("//"); before = line) {
    const bool indented = line.starts_with("//   ");
    if (indented && before == "//") {
      inside = true;
      blocks.emplace_back();
    }
    inside = inside && indented;
    if (inside) blocks.back() += line.substr(5) + "\n";
  }
  std::erase_if(blocks, [](const std::string& block) { return block.starts_with("bitreel ") || bare(block).empty(); });
  return blocks;
}

struct Unheld {
  std::vector<std::string> examples;  // "attention/attention.h shows what no test holds: ..."
  int held = 0;
};

Unheld examples_that_no_test_holds(const fs::path& root, const std::vector<std::string>& rooms) {
  std::string tested;
  for (const auto& entry : fs::recursive_directory_iterator(root / "tests")) {
    if (entry.path().string().ends_with("examples_test.cpp")) tested += bare(read_text(entry.path()));
  }
  Unheld unheld;
  for (const std::string& room : rooms) {
    for (const auto& entry : fs::recursive_directory_iterator(root / room)) {
      const std::string path = entry.path().string();
      if (!path.ends_with(".h")) continue;
      for (const std::string& example : examples_of(entry.path())) {
        if (tested.find(bare(example)) != std::string::npos) {
          ++unheld.held;
        } else {
          unheld.examples.push_back(fmt::format("{} shows what no test holds:\n{}", path, example));
        }
      }
    }
  }
  return unheld;
}

TEST(Manuals, ShowNothingThatNoTestCompilesAndRuns) {
  const Unheld unheld = examples_that_no_test_holds(".", {"base", "attention", "schedulers", "pipelines", "app"});
  EXPECT_THAT(unheld.examples, IsEmpty());
  EXPECT_GT(unheld.held, 150);
}

TEST(Manuals, AreHeldToWholeBlocks) {
  const TemporaryFolder folder;
  write_text(folder / "tests/room/examples_test.cpp",
             "TEST(X, Y) {\n  const int a = f();  // ours\n  g(a);\n  h(a);\n}\n");
  write_text(folder / "room/a.h",
             "// What a is for.\n//\n//   const int a = f();   // theirs\n//   g(a);\n//\n// And\n//   a = b + c\n"
             "//\n//   bitreel info a\n#pragma once\n//   not of the first comment\n");
  write_text(folder / "room/b.h", "//\n//   const int a = f();\n//   h(a);\n//\n//   i(a);\n");
  const Unheld unheld = examples_that_no_test_holds(folder.path(), {"room"});
  EXPECT_EQ(unheld.held, 1);
  EXPECT_THAT(unheld.examples, SizeIs(2)) << "lines of b.h's first block are in the test, but not the block";
}

}  // namespace
}  // namespace bitreel::test
