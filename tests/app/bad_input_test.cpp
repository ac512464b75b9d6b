// Bad input: one clear error on stderr, the right exit code, no crash, nothing at the output's name.
#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <cstring>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/json_file.h"
#include "pipelines/checkpoint/safetensors.h"
#include "pipelines/checkpoint/weights.h"
#include "tests/app/program.h"
#include "tests/app/refusals.h"
#include "tests/files.h"
#include "tests/pipelines/checkpoint/safetensors_bytes.h"
#include "tests/temporary_folder.h"

namespace bitreel::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

// Command lines.

struct CommandCase {
  std::string name;
  Strings arguments;  // OUT stands for the test's folder
  int code;
  Strings texts;
};

// Named in failures instead of dumped as bytes.
void PrintTo(const CommandCase& command, std::ostream* stream) {
  *stream << command.name;
}

class CommandLine : public ::testing::TestWithParam<CommandCase> {};

TEST_P(CommandLine, IsRefusedBeforeAnyWork) {
  const TemporaryFolder folder;
  Strings arguments = GetParam().arguments;
  for (std::string& argument : arguments) {
    if (argument.starts_with("OUT")) argument.replace(0, 3, folder.path().string());
  }
  const Outcome outcome = run_bitreel(arguments);
  expect_refusal(outcome, GetParam().code, GetParam().texts);
  EXPECT_THAT(outcome.err, StartsWith("bitreel: "));
  EXPECT_THAT(outcome.err, Not(HasSubstr("[denoise]")));
  EXPECT_THAT(folder.names(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(
    All, CommandLine,
    ::testing::Values(
        CommandCase{"NoCommand", {}, 2, {"no command"}},
        CommandCase{
            "UnknownCommand", {"genrate", "--prompt", "x"}, 2, {"unknown command genrate", "did you mean generate?"}},
        CommandCase{"UnknownFlag",
                    quick_clip("OUT/a.mp4") + Strings{"--num-frame", "17"},
                    2,
                    {"unknown flag --num-frame", "did you mean --num-frames?"}},
        CommandCase{"UnknownFlagWithValue",
                    quick_clip("OUT/a.mp4") + Strings{"--guidence-scale=6"},
                    2,
                    {"unknown flag --guidence-scale", "--guidance-scale"}},
        CommandCase{"UnknownFlagOfDecode",
                    {"decode", "x.safetensors", "--outptu", "y.mp4"},
                    2,
                    {"unknown flag --outptu", "--output"}},
        CommandCase{"UnquotedPrompt",
                    quick_clip("OUT/a.mp4") + Strings{"circle"},
                    2,
                    {"unexpected argument \"circle\"", "quote"}},
        CommandCase{"FlagWithoutValue", {"generate", "--prompt"}, 2, {"--prompt"}},
        CommandCase{"NoPrompt",
                    {"generate", "--model", tiny_model, "--output", "OUT/a.mp4"},
                    2,
                    {"there is no prompt", "--prompt"}},
        CommandCase{"NoDecodeFile", {"decode"}, 2, {"file"}},
        CommandCase{
            "UnknownProgressStyle", quick_clip("OUT/a.mp4") + Strings{"--progress", "xml"}, 2, {"--progress", "json"}},
        CommandCase{"FrameCount",
                    quick_clip("OUT/a.mp4") + Strings{"--num-frames", "18"},
                    2,
                    {"--num-frames 18", "8n+1", "17 or 25"}},
        CommandCase{"Width", quick_clip("OUT/a.mp4") + Strings{"--width", "50"}, 2, {"--width 50", "48 or 64"}},
        CommandCase{"Height", quick_clip("OUT/a.mp4") + Strings{"--height", "7"}, 2, {"--height 7"}},
        CommandCase{"TooManySteps", quick_clip("OUT/a.mp4") + Strings{"--steps", "1001"}, 2, {"--steps 1001", "1000"}},
        CommandCase{"SeedTooLarge",
                    quick_clip("OUT/a.mp4") + Strings{"--seed", "18446744073709551616"},
                    2,
                    {"--seed", "0 to 18446744073709551615"}},
        CommandCase{
            "SeedNegative", quick_clip("OUT/a.mp4") + Strings{"--seed", "-2"}, 2, {"--seed", "or -1 for a random one"}},
        CommandCase{"PromptNotUtf8",
                    quick_clip("OUT/a.mp4") + Strings{"--prompt", "caf\xe9"},
                    2,
                    {"--prompt is not valid UTF-8", "byte 3"}},
        CommandCase{"UnknownCodec", quick_clip("OUT/a.mp4") + Strings{"--codec", "h246"}, 2, {"h246", "h264"}},
        CommandCase{"UnknownExtension", quick_clip("OUT/a.mpv"), 2, {".mpv"}},
        CommandCase{"CodecThatDoesNotFit", quick_clip("OUT/a.webm") + Strings{"--codec", "h264"}, 2, {"h264", ".webm"}},
        CommandCase{"MissingConfig", {"generate", "--config", "OUT/no.yaml"}, 2, {"no.yaml", "cannot be read"}},
        CommandCase{"FolderMissing", quick_clip("OUT/no/such/a.mp4"), 1, {"no/such", "does not exist", "mkdir -p"}},
        CommandCase{"FolderNotWritable", quick_clip("/proc/a.mp4"), 1, {"/proc"}},
        CommandCase{"OutputIsAFolder", quick_clip("OUT"), 1, {"is a folder"}},
        CommandCase{"LatentsFolderMissing",
                    quick_clip("OUT/a.mp4") + Strings{"--save-latents", "OUT/no/l.safetensors"},
                    1,
                    {"--save-latents", "mkdir -p"}},
        CommandCase{"LatentsOfAnotherKind",
                    quick_clip("OUT/a.mp4") + Strings{"--save-latents", "OUT/l.pt"},
                    2,
                    {"--save-latents", ".safetensors"}},
        CommandCase{
            "ModelMissing", quick_clip("OUT/a.mp4") + Strings{"--model", "no/such/model"}, 1, {"no/such/model"}},
        CommandCase{"ModelIsAFile", quick_clip("OUT/a.mp4") + Strings{"--model", "README.md"}, 1, {"README.md"}},
        CommandCase{"InfoOfNothing", {"info", "OUT/no.mp4"}, 1, {"no.mp4"}},
        CommandCase{"InfoOfNoVideo", {"info", "CMakePresets.json"}, 1, {"CMakePresets.json"}},
        CommandCase{"DecodeOfNothing", {"decode", "OUT/no.safetensors"}, 1, {"no.safetensors"}},
        CommandCase{"DecodeOfOtherTensors", {"decode", "tests/golden/cog2b/text.safetensors"}, 1, {"latents"}},
        CommandCase{"DecodeWithAnotherModel",
                    {"decode", "tests/golden/cog2b/denoise.safetensors", "--output", "OUT/a.mp4"},
                    1,
                    {"latents"}}),
    [](const auto& info) { return info.param.name; });

TEST(Config, AnUnknownKeyNamesTheNearest) {
  const TemporaryFolder folder;
  write_text(folder / "clip.yaml", "prompt: x\nnum_frame: 17\n");
  const Outcome outcome = run_bitreel({"generate", "--config", folder / "clip.yaml", "--output", folder / "a.mp4"});
  expect_refusal(outcome, 2, {"clip.yaml:2: unknown key num_frame", "did you mean num_frames?"});
  EXPECT_THAT(folder.names(), ::testing::ElementsAre("clip.yaml"));
}

TEST(Config, AQuoteThatIsNeverClosedIsRefused) {
  const TemporaryFolder folder;
  for (const char* text : {"steps: 2\nprompt: \"x\n", "prompt: 'x\nsteps: 2\n", "prompt: \"x"}) {
    write_text(folder / "clip.yaml", text);
    const Outcome outcome = run_bitreel({"generate", "--config", folder / "clip.yaml", "--output", folder / "a.mp4"});
    expect_refusal(outcome, 2, {"clip.yaml:", "in scalar"});
  }
}

// Checkpoints with one thing wrong.

using Damage = std::function<void(const fs::path& model)>;

const std::string shard = "transformer/diffusion_pytorch_model-00002-of-00003.safetensors";

Damage remove(const std::string& file) {
  return [file](const fs::path& model) { fs::remove_all(model / file); };
}

Damage replace(const std::string& file, const std::string& bytes) {
  return [=](const fs::path& model) { write_text(model / file, bytes); };
}

Damage set(const std::string& file, const std::string& key, const json& value) {
  return [=](const fs::path& model) {
    json config = read_json(model / file);
    config[key] = value;
    write_text(model / file, config.dump());
  };
}

// Rewrites a safetensors file's header, keeping its data.
Damage edit_header(const std::string& file, const std::function<void(json&)>& edit) {
  return [=](const fs::path& model) {
    const std::string bytes = read_text(model / file);
    std::uint64_t length = 0;
    std::memcpy(&length, bytes.data(), sizeof length);
    json header = json::parse(bytes.substr(sizeof length, length));
    edit(header);
    write_text(model / file, safetensors_bytes(header.dump(), bytes.substr(sizeof length + length)));
  };
}

Damage header_length(const std::string& file, std::uint64_t length) {
  return [=](const fs::path& model) {
    std::string bytes = read_text(model / file);
    std::memcpy(bytes.data(), &length, sizeof length);
    write_text(model / file, bytes);
  };
}

// A weight that is not a number, as a broken conversion leaves it.
void poison(const fs::path& model) {
  const std::string victim = "proj_out.bias";
  const Weights weights = Weights::open(model / "transformer");
  for (const fs::path& path : weights.files()) {
    const SafetensorsFile file = SafetensorsFile::open(path);
    if (!file.tensors().contains(victim)) continue;
    std::map<std::string, at::Tensor> tensors;
    for (const auto& [name, info] : file.tensors()) tensors[name] = file.tensor(name).clone();
    tensors[victim].fill_(std::numeric_limits<double>::quiet_NaN());
    write_safetensors(path, tensors, file.metadata());
    return;
  }
  FAIL() << "no " << victim;
}

json& first_tensor(json& header) {
  for (auto& [name, value] : header.items()) {
    if (name != "__metadata__") return value;
  }
  throw std::runtime_error("no tensor");
}

void overlap(json& header) {
  json* previous = nullptr;
  for (auto& [name, value] : header.items()) {
    if (name == "__metadata__" || value["data_offsets"] == json({0, 0})) continue;
    if (previous != nullptr && (*previous)["shape"] == value["shape"]) {
      value["data_offsets"] = (*previous)["data_offsets"];
      return;
    }
    previous = &value;
  }
  throw std::runtime_error("no two tensors of one shape");
}

struct ModelCase {
  std::string name;
  Damage damage;
  Strings texts;
};

void PrintTo(const ModelCase& model, std::ostream* stream) {
  *stream << model.name;
}

class Model : public ::testing::TestWithParam<ModelCase> {};

TEST_P(Model, WithOneThingWrongIsRefused) {
  const TemporaryFolder folder;
  const TemporaryFolder models;
  fs::copy(tiny_model, models / "model", fs::copy_options::recursive);
  GetParam().damage(models / "model");
  const Outcome outcome = run_bitreel(quick_clip(folder / "a.mp4") + Strings{"--model", models / "model"});
  expect_refusal(outcome, 1, GetParam().texts);
  EXPECT_THAT(folder.names(), IsEmpty());
}

const std::string transformer_config = "transformer/config.json";

INSTANTIATE_TEST_SUITE_P(
    All, Model,
    ::testing::Values(
        ModelCase{"NoIndex", remove("model_index.json"), {"model_index.json"}},
        ModelCase{"IndexNotJson", replace("model_index.json", "{\"_class_name\": "), {"model_index.json"}},
        ModelCase{"AnotherPipeline", set("model_index.json", "_class_name", "FluxPipeline"), {"FluxPipeline"}},
        ModelCase{"NoTransformer", remove("transformer"), {"transformer"}},
        ModelCase{"NoScheduler", remove("scheduler"), {"scheduler"}},
        ModelCase{"NoTokenizer", remove("tokenizer"), {"tokenizer"}},
        ModelCase{
            "TokenizerNotAModel", replace("tokenizer/spiece.model", "not a model"), {"tokenizer can't be loaded"}},
        ModelCase{"MissingShard", remove(shard), {shard, "missing"}},
        ModelCase{"EmptyShard", replace(shard, ""), {shard}},
        ModelCase{"TruncatedShard",
                  [](const fs::path& m) { fs::resize_file(m / shard, fs::file_size(m / shard) / 2); },
                  {shard}},
        ModelCase{"CorruptHeader",
                  [](const fs::path& m) {
                    std::string b = read_text(m / shard);
                    b.replace(8, 4, "\xff\xff\xff\xff");
                    write_text(m / shard, b);
                  },
                  {shard}},
        ModelCase{"HugeHeader", header_length(shard, std::uint64_t{1} << 62), {shard, "header"}},
        ModelCase{"HeaderPastTheEnd", header_length(shard, 50'000'000), {shard, "header"}},
        ModelCase{"OverlappingTensors", edit_header(shard, overlap), {shard, "overlap"}},
        ModelCase{"TensorPastTheEnd",
                  edit_header(shard,
                              [](json& h) {
                                first_tensor(h)["data_offsets"] = {1'000'000'000, 2'000'000'000};
                              }),
                  {shard}},
        ModelCase{"ShapeAgainstItsBytes",
                  edit_header(shard,
                              [](json& h) {
                                first_tensor(h)["shape"] = {3, 5, 7};
                              }),
                  {shard}},
        ModelCase{"AbsurdShape",
                  edit_header(shard,
                              [](json& h) {
                                first_tensor(h)["shape"] = {std::int64_t{1} << 62, 16};
                              }),
                  {shard}},
        ModelCase{
            "UnknownDtype", edit_header(shard, [](json& h) { first_tensor(h)["dtype"] = "F13"; }), {shard, "F13"}},
        ModelCase{"ShapesOfAnotherConfig", set(transformer_config, "time_embed_dim", 48), {"config.json says", "48"}},
        ModelCase{
            "MoreLayersThanWeights", set(transformer_config, "num_layers", 3), {"transformer_blocks.2", "missing"}},
        ModelCase{"FewerLayersThanWeights", set(transformer_config, "num_layers", 1), {"transformer_blocks.1"}},
        ModelCase{"ConfigNotJson", replace(transformer_config, "{\"num_layers\": "), {transformer_config}},
        ModelCase{"ConfigNoObject", replace(transformer_config, "[1, 2]"), {transformer_config}},
        ModelCase{"LayersInWords",
                  set(transformer_config, "num_layers", "thirty"),
                  {"num_layers is \"thirty\"", "whole number"}},
        ModelCase{
            "LayersBeyondReason", set(transformer_config, "num_layers", 1'000'000'000), {"num_layers", "1000000000"}},
        ModelCase{"HeadsNegative", set(transformer_config, "num_attention_heads", -4), {"num_attention_heads"}},
        ModelCase{"PatchOfNothing", set(transformer_config, "patch_size", 0), {"patch_size"}},
        ModelCase{"LevelsOfAString", set("vae/config.json", "block_out_channels", "wide"), {"block_out_channels"}},
        ModelCase{"UnknownSchedule",
                  set("scheduler/scheduler_config.json", "beta_schedule", "wavy"),
                  {"beta_schedule", "wavy"}},
        ModelCase{"WeightsNotFinite", poison, {"tensor proj_out.bias holds infinity or values that are not numbers"}}),
    [](const auto& info) { return info.param.name; });

// The disk.

TEST(FullDisk, BeforeTheLatentsAreSavedLeavesNothing) {
  const TemporaryFolder folder;
  const Outcome outcome =
      run_bitreel(quick_clip(folder / "a.mp4"), {.file_size_limit = 1000, .signal_after = {}, .signal = 0});
  expect_refusal(outcome, 1, {"a.latents.safetensors"});
  EXPECT_THAT(folder.names(), IsEmpty());
}

// What looks bad and is allowed.

TEST(Prompt, OfTenThousandWordsIsCutAndSaid) {
  const TemporaryFolder folder;
  std::string prompt;
  for (int word = 0; word < 10'000; ++word) prompt += "circle ";
  const Outcome outcome = run_bitreel(quick_clip(folder / "a.mp4") + Strings{"--prompt", prompt});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("bitreel: warning: --prompt is"), HasSubstr("226")));
  EXPECT_THAT(read_json(folder / "a.mp4.json")["events"].dump(), HasSubstr("226"));
}

TEST(Prompt, MayBeEmpty) {
  const TemporaryFolder folder;
  const Outcome outcome = run_bitreel(quick_clip(folder / "a.mp4") + Strings{"--prompt", ""});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_TRUE(fs::exists(folder / "a.mp4"));
}

TEST(Fp16, OnWeightsStoredAsBf16IsWarned) {
  const TemporaryFolder folder;
  const Outcome outcome = run_bitreel(
      quick_clip(folder / "a.mp4") + Strings{"--model", "tests/golden/cog5b/model", "--dtype", "fp16", "--steps", "1"});
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("bitreel: warning: fp16"), HasSubstr("--dtype bf16")));
}

}  // namespace
}  // namespace bitreel::test
