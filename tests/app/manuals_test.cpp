// Headers read as manuals, so what they show has to be true: every example of a room's headers is also in a test named
// examples_test.cpp, which compiles and runs it.
#include <gmock/gmock.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <set>
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

// Headers that came before their examples were held. One whose lines all are must leave the list; none may join it.
const std::set<std::string> not_held_yet = {"app/assets.h",
                                            "app/clip_values.h",
                                            "app/commands/compare.h",
                                            "app/compare/clip_judge.h",
                                            "app/compare/clip_measures.h",
                                            "app/compare/compare_videos.h",
                                            "app/compare/comparison.h",
                                            "app/compare/report.h",
                                            "app/compare/run_comparison.h",
                                            "app/console.h",
                                            "app/gpu_clock.h",
                                            "app/reports/html_page.h",
                                            "app/reports/side_by_side.h",
                                            "pipelines/checkpoint/finite.h",
                                            "pipelines/checkpoint/mapped_file.h",
                                            "pipelines/image/autoencoder_kl.h",
                                            "pipelines/image/clip_image_processor.h",
                                            "pipelines/image/clip_vision.h",
                                            "pipelines/image/image_coders.h",
                                            "pipelines/image/picture.h",
                                            "pipelines/layers/activation.h",
                                            "pipelines/layers/clip_layers.h",
                                            "pipelines/layers/rows/rows_body.h",
                                            "pipelines/layers/sinusoid.h",
                                            "pipelines/quality/paired_test.h",
                                            "pipelines/quality/temporal.h",
                                            "pipelines/text/byte_pairs.h",
                                            "pipelines/text/caption_tokenizer.h",
                                            "pipelines/text/clip_text.h",
                                            "pipelines/text/clip_tokenizer.h",
                                            "pipelines/text/special_tokens.h",
                                            "pipelines/text/utf8.h",
                                            "pipelines/unidiffuser/beam_search.h",
                                            "pipelines/unidiffuser/caption_config.h",
                                            "pipelines/unidiffuser/caption_decoder.h",
                                            "pipelines/unidiffuser/config.h",
                                            "pipelines/unidiffuser/joint_denoiser.h",
                                            "pipelines/unidiffuser/uvit.h",
                                            "pipelines/unidiffuser/uvit_config.h",
                                            "pipelines/video/output.h",
                                            "schedulers/noise/multistep_dpm.h"};

TEST(Manuals, ShowNothingThatNoTestCompilesAndRuns) {
  std::string tested;
  for (const fs::path& file : files_under("tests", "examples_test.cpp")) {
    std::istringstream text(read_text(file));
    for (std::string line; std::getline(text, line);) tested += bare(line);
  }
  int examples = 0;
  for (const char* room : {"app", "pipelines", "schedulers/noise"}) {
    for (const fs::path& header : files_under(room, ".h")) {
      bool held = true;
      const bool listed = not_held_yet.contains(header.string());
      for (const std::string& line : example_lines(header)) {
        const bool found = tested.find(line) != std::string::npos;
        EXPECT_TRUE(found || listed) << header << " shows a line that no test holds: " << line;
        held = held && found;
        ++examples;
      }
      EXPECT_FALSE(held && listed) << header << " is on the list though its example is held";
    }
  }
  EXPECT_GT(examples, 100);
}

}  // namespace
}  // namespace bitreel::test
