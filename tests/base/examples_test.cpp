// The examples of this room's headers (tests/app/manuals_test.cpp compares).
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/cpu_features.h"
#include "base/error.h"
#include "base/half.h"
#include "base/input_file.h"
#include "base/json_fields.h"
#include "base/json_text.h"
#include "base/nearest.h"
#include "base/number_text.h"
#include "base/partial.h"
#include "base/png.h"
#include "base/printable.h"
#include "base/readable_json.h"
#include "base/standard_streams.h"
#include "base/statistics.h"
#include "base/strict_yaml.h"
#include "base/utf8.h"
#include "base/wall_clock.h"
#include "base/written_file.h"
#include "tests/error_text.h"
#include "tests/examples_folder.h"
#include "tests/files.h"

namespace bitreel::test {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

class Examples : public ExamplesFolder {};

TEST_F(Examples, OfNumbers) {
  const bool by_vnni = x86_features().avx512_vnni;
  EXPECT_TRUE(!by_vnni || x86_features().avx512);
  Bf16 bits{0x3f80};
  {
    const float x = widened(bits);
    narrow(x, bits);
    EXPECT_EQ(x, 1);
    EXPECT_EQ(bits.bits, 0x3f80);
  }
  median({0.9, 1.0, 7.0});
  mean({0.9, 1.0, 7.1});
  deviation({1.0, 2.0, 3.0});
  EXPECT_EQ(median({0.9, 1.0, 7.0}), 1);
  EXPECT_DOUBLE_EQ(mean({0.9, 1.0, 7.1}), 3);
  EXPECT_EQ(deviation({1.0, 2.0, 3.0}), 1);
  EXPECT_EQ(deviation({5.0}), 0);
  number_from<std::int64_t>("12").value();
  number_from<double>("1e-3").value();
  EXPECT_EQ(number_from<std::int64_t>("12"), 12);
  EXPECT_EQ(number_from<double>("1e-3"), 0.001);
}

TEST_F(Examples, OfTime) {
  const WallClock::time_point begun = WallClock::now();
  seconds_since(begun);
  EXPECT_GE(seconds_since(begun), 0);
}

TEST_F(Examples, OfPng) {
  const std::vector<std::uint8_t> rgb(std::size_t{128} * 96 * 3, 200);
  const std::string png = png_of(rgb.data(), {.width = 128, .height = 96});
  write_whole("frame.png", png);
  EXPECT_EQ(read_text("frame.png"), png);
  EXPECT_EQ(png.substr(1, 3), "PNG");
}

TEST_F(Examples, OfErrors) {
  const int n = 42;
  const auto check = [&] {
    throw Error(fmt::format("`num_frames` {}: this model makes 8n+1 frames", n), "try 41 or 49");
  };
  EXPECT_EQ(error_text(check), "`num_frames` 42: this model makes 8n+1 frames\ntry 41 or 49");
  EXPECT_EQ(nearest("transfomer", {"transformer", "vae"}), "transformer");
}

TEST_F(Examples, OfFiles) {
  write_text("./clip.yaml", "steps: 30\n");
  write_text("./clip.mp4", "no video, but a file");
  const std::string text = read_file<UsageError>("clip.yaml", {.expected = "a YAML file"});
  check_regular("clip.mp4", "a video");
  EXPECT_EQ(text, "steps: 30\n");

  const std::string bytes = "all of it";
  Partial partial("out/clip.mp4");
  write_file(partial.path(), bytes, "out/clip.mp4");
  partial.publish();
  EXPECT_EQ(read_text("out/clip.mp4"), bytes);

  write_text("./prompts.json", "[]");
  check_spares("scores.json", {"prompts.json"});
  check_can_write("scores.json");
  write_whole("scores.json", text);
  EXPECT_EQ(read_text("scores.json"), text);
}

TEST_F(Examples, OfJson) {
  {
    const std::string text = R"({"num_layers": "thirty"})";
    const nlohmann::json config = parse_json(text, "transformer/config.json");
    const auto comment = parse_json_if_any<nlohmann::ordered_json>(text);
    EXPECT_FALSE(comment.is_discarded());
    const auto read = [&] {
      const JsonFields fields(config, "transformer/config.json");
      const int64_t layers = fields.integer("num_layers", 30, {1, 512});
    };
    EXPECT_THAT(error_text(read),
                HasSubstr("transformer/config.json: num_layers is \"thirty\", expected a whole number from 1 to 512"));
  }
  ::testing::internal::CaptureStdout();
  const nlohmann::ordered_json report = {{"name", "pocket"}, {"rows", {{1, 2}, {3, 4}}}};
  write_whole("report.json", readable_json(report));
  print_output(readable_json(report, 65'536));
  flush_output();
  const std::string text = "{\n \"name\": \"pocket\",\n \"rows\": [\n  [1, 2],\n  [3, 4]\n ]\n}\n";
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), text);
  EXPECT_EQ(read_text("report.json"), text);
}

TEST_F(Examples, OfYaml) {
  write_text("./plan.yaml", "layers: 12\n");
  const StrictYaml yaml = StrictYaml::open("plan.yaml");
  const auto values = yaml.map(yaml.root(), "the plan", {"layers"}, {"note"});
  const auto layers = yaml.number<std::int64_t>(values.at("layers"), "layers");
  EXPECT_EQ(layers, 12);
}

TEST_F(Examples, OfText) {
  const std::string prompt = "a caf\xe9", message = "two\nlines", report = "done\n";
  const std::string& text = prompt;
  std::size_t complained = 0;
  const auto complain = [&](std::size_t at) { complained = at; };
  if (const auto at = invalid_utf8_at(prompt); at != std::string_view::npos) complain(at);
  for (std::size_t i = 0; i < text.size();) {
    const Utf8Character c = utf8_character_at(text, i);
    i += std::max<std::size_t>(c.length, 1);
  }
  EXPECT_EQ(complained, 5U);

  ::testing::internal::CaptureStderr();
  ::testing::internal::CaptureStdout();
  print_error(printable_lines(message));
  printable("evil\033[2Jname\n");
  EXPECT_EQ(printable("evil\033[2Jname\n"), "evil\\x1b[2Jname\\n");
  ready_standard_streams();
  print_error("bitreel: warning: ...\n");
  print_output(printable_lines(report));
  const OutputEnd end = end_output();
  EXPECT_EQ(end.outcome, OutputEnd::Outcome::whole);
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), report);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), EndsWith("bitreel: warning: ...\n"));
}

}  // namespace
}  // namespace bitreel::test
