// Who includes what: attention's files stand on floors, and the rooms above see its public face alone.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

namespace bitreel {
namespace {

namespace fs = std::filesystem;

// What a file includes of a folder, as written between the quotes.
std::vector<std::string> includes(const fs::path& file, const std::string& folder) {
  std::ifstream stream(file);
  std::vector<std::string> found;
  const std::string start = "#include \"";
  for (std::string line; std::getline(stream, line);) {
    if (!line.starts_with(start)) continue;
    const std::string header = line.substr(start.size(), line.rfind('"') - start.size());
    if (header.starts_with(folder)) found.push_back(header);
  }
  return found;
}

std::vector<fs::path> sources(const std::vector<fs::path>& folders) {
  std::vector<fs::path> all;
  for (const fs::path& folder : folders) {
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.path().extension() == ".h" || entry.path().extension() == ".cpp") all.push_back(entry.path());
    }
  }
  return all;
}

// 0: what a call and a backend are. 1: the implementations, a folder each. 2: their list. 3: attend().
int floor_of(const fs::path& file) {
  if (file.parent_path() != "attention") return 1;
  return file.stem() == "attention" ? 3 : file.stem() == "registry" ? 2 : 0;
}

TEST(Includes, GoDownwardsInsideAttention) {
  for (const fs::path& file : sources({"attention"})) {
    for (const std::string& header : includes(file, "attention/")) {
      const fs::path included(header);
      // Parts of an implementation have folders of their own.
      const bool own = file.parent_path().string().starts_with(included.parent_path().string());
      EXPECT_TRUE(floor_of(included) < floor_of(file) || (own && floor_of(included) == floor_of(file)))
          << file << " includes " << header;
    }
  }
}

TEST(Includes, FromAboveAreOfThePublicFace) {
  const std::set<std::string> face = {"attention/attention.h", "attention/precision.h",
                                      "attention/cpu/share_out.h",   // how cores that are not equally fast share work
                                      "attention/cuda/load_cuda.h",  // what makes CUDA available to all rooms
                                      "attention/cuda/load_plugin.h"};  // and the kernels, rows of features' among them
  for (const fs::path& file : sources({"app", "pipelines", "schedulers"})) {
    for (const std::string& header : includes(file, "attention/")) {
      EXPECT_TRUE(face.contains(header)) << file << " includes " << header;
    }
  }
}

}  // namespace
}  // namespace bitreel
