// Where the examples of headers run: a current folder of its own, with assets/ of the repository in it.
//
//   class Examples : public test::ExamplesFolder {};
//   TEST_F(Examples, OfTheWriter) { ... }   // "out/clip.mp4" goes where nobody's is
//
// tests/app/manuals_test.cpp holds headers against the files that are named *examples_test.cpp.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/temporary_folder.h"

namespace bitreel::test {

class ExamplesFolder : public ::testing::Test {
 protected:
  ExamplesFolder() {
    std::filesystem::create_directory_symlink(repository_ / "assets", folder_ / "assets");
    std::filesystem::create_directory(folder_ / "out");
    std::filesystem::current_path(folder_.path());
  }
  ~ExamplesFolder() override { std::filesystem::current_path(repository_); }

  [[nodiscard]] const std::filesystem::path& repository() const { return repository_; }

 private:
  const std::filesystem::path repository_ = std::filesystem::current_path();
  const TemporaryFolder folder_;
};

}  // namespace bitreel::test
