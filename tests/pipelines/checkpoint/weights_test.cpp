// One file or many shards, seen as one table of names; and what is said when the table and the model differ.
#include "pipelines/checkpoint/weights.h"

#include <ATen/ATen.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "pipelines/checkpoint/loader.h"
#include "tests/error_text.h"
#include "tests/files.h"
#include "tests/temporary_folder.h"

namespace bitreel {
namespace {

using test::TemporaryFolder;
using test::write_text;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

// A component's folder: transformer/ with the files that a test puts there.
class ComponentFolder {
 public:
  ComponentFolder() { std::filesystem::create_directories(path()); }
  [[nodiscard]] std::filesystem::path path() const { return folder_ / "transformer"; }
  void add(const std::string& file, const std::map<std::string, at::Tensor>& tensors) const {
    write_safetensors(path() / file, tensors, {});
  }
  void add_text(const std::string& file, const std::string& text) const { write_text(path() / file, text); }
  void add_index(const std::string& weight_map) const {
    add_text("model.safetensors.index.json", R"({"metadata":{"total_size":1},"weight_map":)" + weight_map + "}");
  }
  [[nodiscard]] Weights open() const { return Weights::open(path()); }

 private:
  TemporaryFolder folder_;
};

at::Tensor ones(at::IntArrayRef shape, at::ScalarType dtype = at::kFloat) {
  return at::ones(shape, dtype);
}

// Of this process, in pages of files.
std::int64_t mapped_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string key; status >> key;) {
    std::int64_t kib = 0;
    if (key == "RssFile:" && status >> kib) return kib;
  }
  return -1;
}

// T5-XXL in fp32 is 19 GB: its pages must not stay beside the 9.5 GB that are made of them.
TEST(Weights, ThatWereConvertedTakeNoMemoryBesideTheResult) {
  const ComponentFolder folder;
  std::map<std::string, at::Tensor> stored;
  constexpr std::int64_t tensors = 8, numbers = std::int64_t{1} << 20;
  for (std::int64_t i = 0; i < tensors; ++i) stored["w" + std::to_string(i)] = ones({numbers}) * static_cast<float>(i);
  folder.add("model.safetensors", stored);
  constexpr std::int64_t file_kib = tensors * numbers * 4 / 1024;
  const auto growth = [&](at::ScalarType dtype) {
    std::vector<at::Tensor> loaded;
    loaded.reserve(stored.size());
    Loader loader(folder.open(), {.dtype = dtype});
    const std::int64_t before = mapped_kib();
    for (const auto& [name, tensor] : stored) loaded.push_back(loader.take(name, {numbers}, dtype));
    for (std::int64_t i = 0; i < tensors; ++i)
      EXPECT_EQ(loaded[static_cast<std::size_t>(i)].sum().item<double>(), static_cast<double>(i * numbers));
    return mapped_kib() - before;
  };
  ASSERT_GT(mapped_kib(), 0);
  EXPECT_LT(growth(at::kDouble), file_kib / 4);
  EXPECT_GT(growth(at::kFloat), file_kib / 2) << "as they are stored they are the file's pages";
}

TEST(Weights, OfOneFileNeedNoIndexAndNoParticularName) {
  const ComponentFolder folder;
  folder.add("any.name.safetensors", {{"b", ones({2})}, {"a", ones({1, 3})}});
  folder.add_text("config.json", "{}");
  const Weights weights = folder.open();
  EXPECT_THAT(weights.names(), ElementsAre("a", "b"));
  EXPECT_TRUE(weights.has("a"));
  EXPECT_FALSE(weights.has("c"));
  EXPECT_EQ(weights.info("a").shape, (std::vector<std::int64_t>{1, 3}));
  EXPECT_EQ(weights.component(), "transformer");
  EXPECT_THAT(weights.files(), ElementsAre(folder.path() / "any.name.safetensors"));
}

TEST(Weights, OfAnIndexAreItsShardsAndNothingElse) {
  const ComponentFolder folder;
  folder.add("model-00001-of-00002.safetensors", {{"a", ones({2})}});
  folder.add("model-00002-of-00002.safetensors", {{"b", ones({3}, at::kBFloat16)}, {"c", ones({1})}});
  folder.add("stray.safetensors", {{"stray", ones({1})}});
  folder.add_index(
      R"({"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors","c":"model-00002-of-00002.safetensors"})");
  const Weights weights = folder.open();
  EXPECT_THAT(weights.names(), ElementsAre("a", "b", "c"));
  EXPECT_EQ(weights.get("b", {3}).scalar_type(), at::kBFloat16) << "in the stored dtype";
  EXPECT_EQ(weights.files().size(), 2U);
}

TEST(Weights, MissAShardByName) {
  const ComponentFolder folder;
  folder.add("model-00001-of-00002.safetensors", {{"a", ones({2})}});
  folder.add_index(R"({"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"})");
  EXPECT_THAT(
      error_text([&] { (void)folder.open(); }),
      AllOf(HasSubstr("model-00002-of-00002.safetensors: this shard is missing, model.safetensors.index.json lists it"),
            HasSubstr("download the missing file")));
}

TEST(Weights, AreWhereTheIndexSaysThatTheyAre) {
  const ComponentFolder folder;
  folder.add("1.safetensors", {{"a", ones({2})}});
  folder.add("2.safetensors", {{"b", ones({2})}});
  folder.add_index(R"({"a":"1.safetensors","b":"2.safetensors","c":"2.safetensors"})");
  EXPECT_THAT(error_text([&] { (void)folder.open(); }),
              HasSubstr("weight_map says that 2.safetensors holds tensor c, which is in no shard"));
  folder.add_index(R"({"a":"2.safetensors","b":"1.safetensors"})");
  EXPECT_THAT(error_text([&] { (void)folder.open(); }),
              HasSubstr("weight_map says that 2.safetensors holds tensor a, which is in 1.safetensors"));
}

TEST(Loader, RefusesWeightsThatAreNotFiniteByName) {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble, at::kFloat8_e5m2}) {
    for (const double bad : {infinity, -infinity, std::nan("")}) {
      const ComponentFolder folder;
      at::Tensor weight = at::zeros({600, 601});
      weight[599][600] = bad;
      folder.add("w.safetensors", {{"good", at::full({3}, 65504, at::kHalf)}, {"bad", weight.to(dtype)}});
      Loader loader(folder.open(), {});
      (void)loader.take("good", {3}, at::kFloat);
      EXPECT_THAT(error_text([&] {
                    (void)loader.take("bad", {600, 601}, at::kFloat);
                  }),
                  HasSubstr("w.safetensors: tensor bad holds infinity or values that are not numbers"))
          << dtype << " " << bad;
    }
  }
}

TEST(Weights, StayInsideTheirFolder) {
  const ComponentFolder folder;
  folder.add("../outside.safetensors", {{"a", ones({2})}});
  for (const char* name : {R"("../outside.safetensors")", R"("/etc/passwd")", R"("a/b.safetensors")", "7", "null"}) {
    folder.add_index(R"({"a":)" + std::string(name) + "}");
    EXPECT_THAT(error_text([&] { (void)folder.open(); }),
                AllOf(HasSubstr("model.safetensors.index.json: weight_map gives a the file " + std::string(name)),
                      HasSubstr("expected a file name in this folder")))
        << name;
  }
}

TEST(Weights, RefuseIndexesThatAreNone) {
  const ComponentFolder folder;
  for (const char* text : {"[]", "{}", R"({"weight_map":[]})", R"({"weight_map":null})"}) {
    folder.add_text("model.safetensors.index.json", text);
    EXPECT_THAT(error_text([&] { (void)folder.open(); }),
                HasSubstr("model.safetensors.index.json: no weight_map object"))
        << text;
  }
  folder.add_text("model.safetensors.index.json", "{\"weight_map\"");
  EXPECT_THAT(error_text([&] { (void)folder.open(); }), HasSubstr("model.safetensors.index.json: not valid JSON"));
}

TEST(Weights, RefuseATensorThatIsInTwoShards) {
  const ComponentFolder folder;
  folder.add("1.safetensors", {{"a", ones({2})}});
  folder.add("2.safetensors", {{"a", ones({2})}, {"b", ones({2})}});
  folder.add_index(R"({"a":"1.safetensors","b":"2.safetensors"})");
  EXPECT_THAT(error_text([&] { (void)folder.open(); }), HasSubstr("2.safetensors: tensor a is also in another shard"));
}

TEST(Weights, RefuseFoldersWithoutSafetensorsOrWithSeveralVariants) {
  const ComponentFolder folder;
  folder.add_text("diffusion_pytorch_model.bin", "pickle");
  EXPECT_THAT(error_text([&] { (void)folder.open(); }),
              AllOf(HasSubstr("no safetensors file"),
                    HasSubstr("diffusion_pytorch_model.bin is a pickle; save it as safetensors")));
  folder.add("model.safetensors", {{"a", ones({1})}});
  folder.add("model.fp16.safetensors", {{"a", ones({1})}});
  EXPECT_THAT(error_text([&] { (void)folder.open(); }),
              AllOf(HasSubstr("found model.fp16.safetensors, model.safetensors"), HasSubstr("leave one variant")));
  folder.add_index("{}");
  folder.add_text("model.fp16.safetensors.index.json", "{}");
  EXPECT_THAT(error_text([&] { (void)folder.open(); }),
              HasSubstr("found model.fp16.safetensors.index.json, model.safetensors.index.json"));
  EXPECT_THAT(error_text([&] { (void)Weights::open(folder.path() / "none"); }),
              HasSubstr("transformer/none: no such folder"));
}

// A model of two linear layers and a norm, as their constructors ask for it, loaded from whatever a test gives.
struct Model {
  at::Tensor first, first_bias, second, norm, norm_bias;
  explicit Model(Loader& loader)
      : first((loader.root() / "blocks" / 0 / "proj").tensor("weight", {2, 3})),
        first_bias((loader.root() / "blocks" / 0 / "proj").tensor("bias", {2})),
        second((loader.root() / "blocks" / 1 / "proj").tensor("weight", {2, 3})),
        norm((loader.root() / "norm").tensor("weight", {2})),
        norm_bias((loader.root() / "norm").tensor("bias", {2})) {}
};

const std::map<std::string, at::Tensor> complete = {{"blocks.0.proj.weight", ones({2, 3})},
                                                    {"blocks.0.proj.bias", ones({2})},
                                                    {"blocks.1.proj.weight", ones({2, 3}, at::kHalf)},
                                                    {"norm.weight", ones({2})},
                                                    {"norm.bias", ones({2})}};

std::string load_error(const std::map<std::string, at::Tensor>& tensors) {
  const ComponentFolder folder;
  folder.add("model.safetensors", tensors);
  return error_text([&] {
    Loader loader(folder.open(), {});
    const Model model(loader);
    loader.finish();
  });
}

std::map<std::string, at::Tensor> renamed(const std::string& from, const std::string& to) {
  auto tensors = complete;
  auto entry = tensors.extract(from);
  entry.key() = to;
  tensors.insert(std::move(entry));
  return tensors;
}

TEST(Loader, CastsWhateverIsStoredAndUsesItAll) {
  const ComponentFolder folder;
  folder.add("model.safetensors", complete);
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    Loader loader(folder.open(), {.dtype = dtype});
    const Model model(loader);
    loader.finish();
    EXPECT_TRUE(at::equal(model.first, ones({2, 3}, dtype)));
    EXPECT_TRUE(at::equal(model.second, ones({2, 3}, dtype))) << "which is stored in fp16";
  }
}

TEST(Loader, NamesAMissingTensorAndTheNearestOne) {
  EXPECT_THAT(load_error(renamed("norm.bias", "norm.bais")),
              AllOf(HasSubstr("transformer: tensor norm.bias is missing"),
                    HasSubstr("the nearest name in the files is norm.bais")));
  EXPECT_THAT(load_error({{"something.else.entirely", ones({1})}}),
              AllOf(HasSubstr("tensor blocks.0.proj.weight is missing"), HasSubstr("may be of different models")));
}

TEST(Loader, ShowsBothShapesWhenTheyDiffer) {
  auto tensors = complete;
  tensors["blocks.1.proj.weight"] = ones({3, 2});
  EXPECT_THAT(load_error(tensors),
              HasSubstr("model.safetensors: tensor blocks.1.proj.weight is [3, 2], config.json says [2, 3]"));
  tensors["blocks.1.proj.weight"] = ones({6});
  EXPECT_THAT(load_error(tensors), HasSubstr("is [6], config.json says [2, 3]"));
}

TEST(Loader, ListsTensorsThatNobodyUses) {
  auto tensors = complete;
  tensors["blocks.2.proj.weight"] = ones({1});
  EXPECT_THAT(load_error(tensors),
              AllOf(HasSubstr("transformer: 1 tensors are not part of the model"), HasSubstr("blocks.2.proj.weight")));
  for (const char* name : {"x1", "x2", "x3", "x4"}) tensors[name] = ones({1});
  EXPECT_THAT(load_error(tensors), AllOf(HasSubstr("5 tensors"), HasSubstr("blocks.2.proj.weight, x1, x2, ...")));
}

TEST(Loader, IgnoresWhatItIsToldToIgnore) {
  const ComponentFolder folder;
  auto tensors = complete;
  tensors["encoder.a"] = tensors["encoder.b"] = ones({1});
  folder.add("model.safetensors", tensors);
  Loader loader(folder.open(), {});
  const Model model(loader);
  loader.ignore("encoder.");
  EXPECT_NO_THROW(loader.finish());
}

TEST(Loader, RefusesWholeNumbersWhereWeightsBelong) {
  auto tensors = complete;
  tensors["norm.weight"] = at::ones({2}, at::kInt);
  EXPECT_THAT(load_error(tensors),
              HasSubstr("transformer: tensor norm.weight is stored as Int, expected a floating-point dtype"));
}

}  // namespace
}  // namespace bitreel
