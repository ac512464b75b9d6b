// The settings table: what flags, YAML and JSON may say, and that what is printed reads back the same.
#include "app/options.h"

#include <gmock/gmock.h>

#include <map>
#include <set>

#include "base/error.h"
#include "tests/files.h"
#include "tests/temporary_folder.h"

namespace bitreel::test {
namespace {

using ::testing::HasSubstr;

struct RefusedOptions {
  std::string message;
  std::string hint;
};

RefusedOptions refusal_of_yaml(const std::string& text) {
  const TemporaryFolder folder;
  write_text(folder / "clip.yaml", text);
  GenerateOptions options;
  try {
    apply_yaml(options, folder / "clip.yaml");
  } catch (const UsageError& error) {
    return {error.what(), error.hint()};
  }
  return {"accepted", ""};
}

// A value that is not the default, for every setting.
const std::map<std::string, std::string> other_values = {
    {"prompt", "a \"quoted\" #prompt: naïve, 5"},
    {"negative-prompt", "true"},
    {"mode", "t2i"},
    {"image", "in.png"},
    {"num-images", "2"},
    {"num-prompts", "3"},
    {"width", "64"},
    {"height", "32"},
    {"num-frames", "17"},
    {"fps", "12.5"},
    {"steps", "3"},
    {"guidance-scale", "4.1"},
    {"dynamic-cfg", "ramp"},
    {"scheduler", "dpm"},
    {"seed", "18446744073709551615"},
    {"model", "some/model"},
    {"dtype", "fp16"},
    {"device", "cpu"},
    {"attention", "int8"},
    {"attention-backend", "reference"},
    {"accept-plan-of", "another"},
    {"guard", "7"},
    {"guard-bound", "0.25"},
    {"elementwise", "composed"},
    {"linear", "fp8"},
    {"linear-path", "plain"},
    {"cuda-graph", "false"},
    {"weights", "fp8"},
    {"offload", "layers"},
    {"gpu-memory-limit", "11.5"},
    {"vae-tiling", "true"},
    {"vae-layout", "channels-last"},
    {"output", "clip.webm"},
    {"codec", "vp9"},
    {"crf", "20"},
    {"save-latents", "l.safetensors"},
    {"no-metadata", "true"},
};

GenerateOptions all_set() {
  GenerateOptions options;
  for (const auto& [name, value] : other_values) setting(name).set(options, value, "--" + name);
  return options;
}

TEST(Settings, EachOneHasAValueInThisTest) {
  std::set<std::string> named;
  for (const Setting& setting : settings()) named.insert(setting.name);
  std::set<std::string> tested;
  for (const auto& [name, value] : other_values) tested.insert(name);
  EXPECT_EQ(named, tested);
}

TEST(Settings, EachOneChangesItsOwnKeyAndNoOther) {
  const auto before = to_json(GenerateOptions{});
  for (const auto& [name, value] : other_values) {
    SCOPED_TRACE(name);
    GenerateOptions options;
    setting(name).set(options, value, "--" + name);
    const auto after = to_json(options);
    for (const Setting& other : settings()) {
      const bool changed =
          before.value(other.key(), nlohmann::ordered_json()) != after.value(other.key(), nlohmann::ordered_json());
      EXPECT_EQ(changed, other.name == name) << other.name;
    }
  }
}

TEST(Settings, PrintedAsYamlTheyReadBackTheSame) {
  const TemporaryFolder folder;
  write_text(folder / "clip.yaml", to_yaml(all_set()));
  GenerateOptions read;
  apply_yaml(read, folder / "clip.yaml");
  EXPECT_EQ(to_json(read), to_json(all_set()));
}

TEST(Settings, PrintedAsJsonTheyReadBackTheSame) {
  GenerateOptions read;
  apply_json(read, to_json(all_set()), "latents.safetensors");
  EXPECT_EQ(to_json(read), to_json(all_set()));
}

TEST(Settings, ASeedOfMinusOneMeansARandomOne) {
  GenerateOptions options = all_set();
  setting("seed").set(options, "-1", "--seed");
  EXPECT_FALSE(options.seed.has_value());
}

TEST(Settings, DynamicCfgTakesThePeersTruthValues) {
  GenerateOptions options;
  setting("dynamic-cfg").set(options, "true", "dynamic_cfg");
  EXPECT_EQ(options.dynamic_cfg, DynamicGuidance::peer);
  setting("dynamic-cfg").set(options, "false", "dynamic_cfg");
  EXPECT_EQ(options.dynamic_cfg, DynamicGuidance::off);
}

struct BadValue {
  std::string name;
  std::string value;
  std::string expected;
};

void PrintTo(const BadValue& bad, std::ostream* stream) {
  *stream << bad.name << ' ' << bad.value;
}

class BadValues : public ::testing::TestWithParam<BadValue> {};

TEST_P(BadValues, AreRefusedWithWhatIsExpected) {
  const auto& [name, value, expected] = GetParam();
  GenerateOptions options;
  try {
    setting(name).set(options, value, "--" + name);
    FAIL() << "accepted " << value;
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("--" + name));
    EXPECT_THAT(error.what(), HasSubstr(expected));
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, BadValues,
    ::testing::Values(
        BadValue{"width", "wide", "is \"wide\", expected a whole number from 1"},
        BadValue{"width", "0", "expected a whole number"}, BadValue{"height", "48.5", "expected a whole number"},
        BadValue{"num-frames", "", "expected a whole number"}, BadValue{"steps", "5x", "expected a whole number"},
        BadValue{"steps", "99999999999999999999", "expected a whole number"},
        BadValue{"fps", "nan", "expected a number from 0.1"},
        BadValue{"guidance-scale", "inf", "expected a number from 0"},
        BadValue{"seed", "-2", "expected a whole number from 0 to 18446744073709551615, or -1"},
        BadValue{"seed", "18446744073709551616", "expected a whole number from 0"},
        BadValue{"dtype", "float16", "expected fp32, bf16, fp16"},
        BadValue{"device", "gpu", "expected cpu, cuda, auto"}, BadValue{"scheduler", "euler", "expected ddim, dpm"},
        BadValue{"dynamic-cfg", "maybe", "expected off, peer, ramp"},
        BadValue{"vae-tiling", "yes", "expected true, false"}, BadValue{"output", "", "expected a path"},
        BadValue{"prompt", "caf\xe9", "not valid UTF-8: byte 3 is 0xe9"},
        BadValue{"prompt", "cut \xf0\x9f\x98", "not valid UTF-8: byte 4 is 0xf0"}),
    [](const auto& info) { return std::to_string(info.index); });

TEST(Yaml, AnUnknownKeyNamesTheNearest) {
  const RefusedOptions refusal = refusal_of_yaml("prompt: x\nguidence_scale: 6\n");
  EXPECT_THAT(refusal.message, HasSubstr("clip.yaml:2: unknown key guidence_scale"));
  EXPECT_THAT(refusal.hint, HasSubstr("guidance_scale"));
}

TEST(Yaml, AFlagsSpellingIsNoKey) {
  EXPECT_THAT(refusal_of_yaml("num-frames: 17\n").hint, HasSubstr("num_frames"));
}

TEST(Yaml, ABadValueIsNamedWithItsLine) {
  EXPECT_THAT(refusal_of_yaml("prompt: x\nsteps: many\n").message, HasSubstr("clip.yaml:2: steps is \"many\""));
}

TEST(Yaml, AKeyGivenTwiceIsRefused) {
  EXPECT_THAT(refusal_of_yaml("steps: 3\nsteps: 4\n").message, HasSubstr("clip.yaml:2: steps is given twice"));
}

TEST(Yaml, ListsAndEmptyValuesAreRefused) {
  EXPECT_THAT(refusal_of_yaml("steps: [3, 4]\n").message, HasSubstr("steps is a list or a map"));
  EXPECT_THAT(refusal_of_yaml("steps:\n").message, HasSubstr("steps is empty"));
}

TEST(Yaml, AFileWithoutSettingsIsRefused) {
  EXPECT_THAT(refusal_of_yaml("").message, HasSubstr("holds no settings"));
  EXPECT_THAT(refusal_of_yaml("- steps\n").message, HasSubstr("holds no settings"));
  EXPECT_THAT(refusal_of_yaml("prompt: a: b\n").message, HasSubstr("clip.yaml:"));
}

TEST(Yaml, AMissingFileIsNamed) {
  GenerateOptions options;
  EXPECT_THROW(apply_yaml(options, "no/such.yaml"), UsageError);
}

}  // namespace
}  // namespace bitreel::test
