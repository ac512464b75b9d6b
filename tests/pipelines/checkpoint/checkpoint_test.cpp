// Folders that are no checkpoints, and JSON that is no configuration.
#include "pipelines/checkpoint/checkpoint.h"

#include "base/json_fields.h"
#include "base/json_file.h"
#include "tests/error_text.h"
#include "tests/files.h"
#include "tests/temporary_folder.h"

namespace bitreel {
namespace {

using nlohmann::json;
using test::TemporaryFolder;
using test::write_text;
using testing::AllOf;
using testing::HasSubstr;

const char* const good_index = R"({"_class_name":"CogVideoXPipeline","vae":["diffusers","AutoencoderKLCogVideoX"],
  "transformer":["diffusers","CogVideoXTransformer3DModel"],"image_encoder":[null,null],"note":"x"})";

TEST(Checkpoint, KnowsItsComponents) {
  const TemporaryFolder folder;
  write_text(folder / "model_index.json", good_index);
  write_text(folder / "vae/config.json", R"({"latent_channels":16})");
  write_text(folder / "scheduler/scheduler_config.json", R"({"beta_end":0.012})");
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_EQ(checkpoint.pipeline_class(), "CogVideoXPipeline");
  EXPECT_EQ(checkpoint.component_class("vae"), "AutoencoderKLCogVideoX");
  EXPECT_FALSE(checkpoint.has("image_encoder")) << "null means that there is none";
  EXPECT_EQ(checkpoint.config("vae")["latent_channels"], 16);
  EXPECT_EQ(checkpoint.config("scheduler")["beta_end"], 0.012);
  EXPECT_EQ(checkpoint.folder(), folder.path());
  EXPECT_THAT(error_text([&] { (void)checkpoint.component_class("scheduler"); }),
              AllOf(HasSubstr("model_index.json names no scheduler"), HasSubstr("it names transformer, vae")));
  EXPECT_THAT(error_text([&] { (void)checkpoint.config("transformer"); }),
              HasSubstr("transformer/config.json: this file is missing"));
  EXPECT_THAT(error_text([&] { (void)checkpoint.weights("transformer"); }), HasSubstr("transformer: no such folder"));
}

TEST(Checkpoint, IsAFolderWithAnIndex) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_text([&] { (void)Checkpoint::open(folder / "none"); }),
              HasSubstr("none: no such folder, expected a checkpoint folder"));
  write_text(folder / "file", "");
  EXPECT_THAT(error_text([&] { (void)Checkpoint::open(folder / "file"); }),
              HasSubstr("file: this is a file, expected a checkpoint folder"));
  EXPECT_THAT(error_text([&] { (void)Checkpoint::open(folder.path()); }), HasSubstr("holds no model_index.json"));
}

TEST(Checkpoint, RefusesMalformedIndexes) {
  const TemporaryFolder folder;
  const std::pair<const char*, const char*> cases[] = {{"", "not valid JSON"},
                                                       {"{\"a\":", "not valid JSON"},
                                                       {"\xff\xfe", "not valid JSON"},
                                                       {"[]", "expected a JSON object"},
                                                       {"7", "expected a JSON object"}};
  for (const auto& [text, complaint] : cases) {
    write_text(folder / "model_index.json", text);
    EXPECT_THAT(error_text([&] { (void)Checkpoint::open(folder.path()); }),
                AllOf(HasSubstr("model_index.json"), HasSubstr(complaint)));
  }
  for (const char* text : {"{}", R"({"_class_name":7})"}) {
    write_text(folder / "model_index.json", text);
    const Checkpoint checkpoint = Checkpoint::open(folder.path());
    EXPECT_THAT(error_text([&] { (void)checkpoint.pipeline_class(); }),
                HasSubstr("model_index.json has no _class_name"));
  }
  write_text(folder / "model_index.json",
             R"({"vae":"AutoencoderKLCogVideoX","transformer":["diffusers"],"scheduler":[1,2]})");
  for (const char* component : {"vae", "transformer", "scheduler"}) {
    EXPECT_FALSE(Checkpoint::open(folder.path()).has(component)) << component;
  }
}

TEST(JsonFile, NamesTheFileAndThePlaceOfAnError) {
  const TemporaryFolder folder;
  write_text(folder / "bad.json", "{\n  \"a\": 1,\n  \"b\" 2\n}");
  EXPECT_THAT(error_text([&] { (void)read_json(folder / "bad.json"); }),
              AllOf(HasSubstr("bad.json: not valid JSON"), HasSubstr("line 3")));
  EXPECT_THAT(error_text([&] { (void)read_json(folder / "none.json"); }), HasSubstr("none.json: cannot be read"));
  EXPECT_THAT(error_text([&] { (void)read_json(folder.path()); }),
              HasSubstr(folder.path().string() + ": cannot be read"));
}

TEST(JsonFields, TakeDefaultsForAbsentAndNullKeys) {
  const json config = {{"null", nullptr}, {"n", 7},         {"x", 0.5},   {"whole", 2},
                       {"yes", true},     {"list", {1, 2}}, {"name", "b"}};
  const JsonFields fields(config, "config.json");
  for (const char* key : {"absent", "null"}) {
    EXPECT_EQ(fields.integer(key, 3, {0, 9}), 3);
    EXPECT_EQ(fields.optional_integer(key, {0, 9}), std::nullopt);
    EXPECT_EQ(fields.integers(key, {4, 5}, {0, 9}), (std::vector<std::int64_t>{4, 5}));
    EXPECT_EQ(fields.real(key, 0.25, {0, 1}), 0.25);
    EXPECT_TRUE(fields.boolean(key, true));
    EXPECT_EQ(fields.choice(key, "b", {"a", "b"}), 1U);
  }
  EXPECT_EQ(fields.integer("n", 3, {0, 9}), 7);
  EXPECT_EQ(fields.optional_integer("n", {0, 9}), 7);
  EXPECT_EQ(fields.real("x", 0, {0, 1}), 0.5);
  EXPECT_EQ(fields.real("whole", 0, {0, 9}), 2.0);
  EXPECT_TRUE(fields.boolean("yes", false));
  EXPECT_EQ(fields.integers("list", {}, {0, 9}), (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(fields.choice("name", "a", {"a", "b"}), 1U);
}

TEST(JsonFields, SayFileKeyValueAndExpectation) {
  const auto complaint_about = [](const json& value, const auto& read) {
    const json config = {{"key", value}};
    return error_text([&] { read(JsonFields(config, "vae/config.json")); });
  };
  const auto integer = [](const JsonFields& fields) { (void)fields.integer("key", 1, {1, 64}); };
  const json bad_integers[] = {"thirty",   1.5,   4.0,           true,          0, -1, 65, INT64_MIN,
                               UINT64_MAX, 1e300, json::array(), json::object()};
  for (const json& value : bad_integers) {
    EXPECT_THAT(complaint_about(value, integer),
                HasSubstr("vae/config.json: key is " + value.dump() + ", expected a whole number from 1 to 64"));
  }
  const auto real = [](const JsonFields& fields) { (void)fields.real("key", 1, {0, 1}); };
  for (const json& value : {json("0.5"), json(1.5), json(-1e-9), json(1e300), json(false), json(UINT64_MAX)}) {
    EXPECT_THAT(complaint_about(value, real), HasSubstr("key is " + value.dump() + ", expected a number from 0 to 1"));
  }
  const auto boolean = [](const JsonFields& fields) { (void)fields.boolean("key", false); };
  for (const json& value : {json(1), json("true"), json(json::array())}) {
    EXPECT_THAT(complaint_about(value, boolean), HasSubstr("key is " + value.dump() + ", expected true or false"));
  }
  const auto integers = [](const JsonFields& fields) { (void)fields.integers("key", {}, {1, 64}); };
  for (const json& value : {json(7), json(json::array()), json("1,2"), json(json::object())}) {
    EXPECT_THAT(complaint_about(value, integers), HasSubstr("expected a list of 1 to 64 whole numbers"));
  }
  EXPECT_THAT(complaint_about({1, 2, "x"}, integers), HasSubstr("key is \"x\", expected a whole number from 1 to 64"));
  const auto choice = [](const JsonFields& fields) { (void)fields.choice("key", "a", {"a", "b"}); };
  for (const json& value : {json("c"), json(7), json("")}) {
    EXPECT_THAT(complaint_about(value, choice), HasSubstr("key is " + value.dump() + ", expected one of a, b"));
  }
}

TEST(JsonFields, ShortenLongValues) {
  const json config = {{"key", std::string(10'000, 'x')}};
  const std::string text = error_text([&] { (void)JsonFields(config, "config.json").integer("key", 1, {1, 64}); });
  EXPECT_LT(text.size(), 150U);
  EXPECT_THAT(text, HasSubstr("xxx..., expected"));
}

TEST(JsonFields, RefuseWhatIsNoObject) {
  const json list = json::array();
  EXPECT_THAT(error_text([&] { const JsonFields fields(list, "vae/config.json"); }),
              HasSubstr("vae/config.json: holds a JSON array, expected an object"));
}

}  // namespace
}  // namespace bitreel
