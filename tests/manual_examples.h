// Whether the examples at the top of headers are code that a test compiles and runs.
//
//   EXPECT_THAT(examples_not_in("tests/attention/manual_examples_test.cpp", {"attention"}), IsEmpty());
//
// An example is the first indented block of a header's comment. The test holds the same code, whole; comments and line
// breaks may differ. A new header's example fails until the test has it.
#pragma once

#include <cctype>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace bitreel::test {

// Without comments and white space.
inline std::string bare(std::string_view line) {
  std::string text(line.substr(0, line.find("//")));
  std::erase_if(text, [](unsigned char c) { return std::isspace(c) != 0; });
  return text;
}

inline std::string bare_code(const std::filesystem::path& file) {
  std::ifstream stream(file);
  std::string text, line;
  while (std::getline(stream, line)) text += bare(line);
  return text;
}

// Empty when the header has none.
inline std::string example_of(const std::filesystem::path& header) {
  constexpr std::string_view indent = "//   ";
  std::ifstream stream(header);
  std::string text, line;
  while (std::getline(stream, line) && line.starts_with("//")) {
    const bool indented = line.starts_with(indent);
    if (!indented && !text.empty()) break;
    if (indented) text += bare(std::string_view(line).substr(indent.size()));
  }
  return text;
}

// Headers of these folders whose example the test does not hold. formats: headers that begin with a file's format.
inline std::vector<std::string> examples_not_in(const std::filesystem::path& test,
                                                const std::vector<std::filesystem::path>& folders,
                                                const std::set<std::string>& formats = {}) {
  const std::string code = bare_code(test);
  std::vector<std::string> missing;
  for (const std::filesystem::path& folder : folders) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      const std::filesystem::path& file = entry.path();
      if (file.extension() != ".h" || formats.contains(file.filename().string())) continue;
      if (code.find(example_of(file)) == std::string::npos) missing.push_back(file.string());
    }
  }
  return missing;
}

}  // namespace bitreel::test
