// Reading back what was written, in the format's every dtype; and reading what other tools wrote.
#include "pipelines/checkpoint/safetensors.h"

#include <ATen/ATen.h>

#include "tests/error_text.h"
#include "tests/files.h"
#include "tests/full_disk.h"
#include "tests/pipelines/checkpoint/safetensors_bytes.h"
#include "tests/temporary_folder.h"

namespace bitreel {
namespace {

using test::TemporaryFolder;
using test::write_text;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

at::Tensor counting(at::ScalarType dtype) {
  return at::arange(6, at::TensorOptions(at::kFloat)).view({2, 3}).to(dtype);
}

class RoundTrip : public testing::TestWithParam<at::ScalarType> {};

TEST_P(RoundTrip, KeepsDtypeShapeAndValues) {
  const TemporaryFolder folder;
  const at::Tensor tensor = counting(GetParam());
  write_safetensors(folder / "t.safetensors", {{"t", tensor}}, {});
  const SafetensorsFile file = SafetensorsFile::open(folder / "t.safetensors");
  const at::Tensor back = file.tensor("t");
  EXPECT_EQ(back.scalar_type(), GetParam());
  ASSERT_EQ(back.sizes(), tensor.sizes());
  EXPECT_EQ(std::memcmp(back.const_data_ptr(), tensor.const_data_ptr(), tensor.nbytes()), 0);
}

INSTANTIATE_TEST_SUITE_P(Dtypes, RoundTrip,
                         testing::Values(at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong, at::kInt,
                                         at::kShort, at::kChar, at::kByte, at::kBool, at::kFloat8_e4m3fn,
                                         at::kFloat8_e5m2),
                         [](const auto& info) { return std::string(c10::toString(info.param)); });

TEST(Safetensors, KeepsNamesMetadataEmptyTensorsAndScalars) {
  const TemporaryFolder folder;
  const auto path = folder / "many.safetensors";
  const std::map<std::string, std::string> metadata = {{"seed", "42"}, {"prompt", "\"quoted\" \xE2\x98\x85 \n"}};
  write_safetensors(
      path, {{"a.weight", counting(at::kFloat)}, {"nothing", at::empty({0, 4})}, {"one", at::scalar_tensor(7.5)}},
      metadata);
  const SafetensorsFile file = SafetensorsFile::open(path);
  EXPECT_EQ(file.metadata(), metadata);
  EXPECT_EQ(file.path(), path);
  std::vector<std::string> names;
  for (const auto& entry : file.tensors()) names.push_back(entry.first);
  EXPECT_THAT(names, UnorderedElementsAre("a.weight", "nothing", "one"));
  EXPECT_EQ(file.tensor("nothing").sizes().vec(), (std::vector<std::int64_t>{0, 4}));
  EXPECT_EQ(file.tensor("one").dim(), 0);
  EXPECT_EQ(file.tensor("one").item<float>(), 7.5F);
}

TEST(Safetensors, WritesWhatTheFormatPrescribes) {
  const TemporaryFolder folder;
  write_safetensors(folder / "t.safetensors", {{"b", counting(at::kFloat)}, {"a", counting(at::kByte)}}, {});
  const std::string bytes = test::read_text(folder / "t.safetensors");
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, bytes.data(), 8);
  EXPECT_EQ(header_size % 8, 0U) << "the data section is aligned";
  EXPECT_EQ(bytes[8], '{');
  EXPECT_EQ(bytes.size(), 8 + header_size + 6 + 24);
  EXPECT_THAT(bytes.substr(8, header_size),
              AllOf(HasSubstr(R"("a":{"data_offsets":[0,6],"dtype":"U8","shape":[2,3]})"),
                    HasSubstr(R"("b":{"data_offsets":[6,30],"dtype":"F32","shape":[2,3]})")));
}

TEST(Safetensors, WritesViewsAsTheyLook) {
  const TemporaryFolder folder;
  const at::Tensor turned = counting(at::kFloat).t();
  write_safetensors(folder / "t.safetensors", {{"t", turned}}, {});
  EXPECT_TRUE(at::equal(SafetensorsFile::open(folder / "t.safetensors").tensor("t"), turned));
}

TEST(Safetensors, ReadsTensorsThatStartAtAnyByte) {
  const TemporaryFolder folder;
  const std::string header =
      R"({"byte":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"t":{"dtype":"F32","shape":[2],"data_offsets":[1,9]},)"
      R"("nothing":{"dtype":"F32","shape":[0,2],"data_offsets":[9,9]}})";
  const float values[] = {1.5F, -2.25F};
  std::string data(9, 'x');
  std::memcpy(data.data() + 1, values, 8);
  write_text(folder / "odd.safetensors", safetensors_bytes(header, data));
  const SafetensorsFile file = SafetensorsFile::open(folder / "odd.safetensors");
  EXPECT_EQ(file.tensor("nothing").sizes(), (std::vector<std::int64_t>{0, 2}));
  const at::Tensor t = file.tensor("t");
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(t.const_data_ptr()) % 4, 0U);
  EXPECT_TRUE(at::equal(t, at::tensor({1.5F, -2.25F})));
}

TEST(Safetensors, TensorsOutliveTheFileObject) {
  const TemporaryFolder folder;
  write_safetensors(folder / "t.safetensors", {{"t", counting(at::kFloat)}}, {});
  at::Tensor t;
  {
    const SafetensorsFile file = SafetensorsFile::open(folder / "t.safetensors");
    t = file.tensor("t");
    EXPECT_EQ(t.const_data_ptr(), file.tensor("t").const_data_ptr()) << "a view, not a copy";
  }
  std::filesystem::remove(folder / "t.safetensors");
  EXPECT_TRUE(at::equal(t, counting(at::kFloat)));
}

TEST(Safetensors, NamesTheNearestTensorWhenOneIsMissing) {
  const TemporaryFolder folder;
  write_safetensors(folder / "t.safetensors", {{"latents", counting(at::kFloat)}}, {});
  const SafetensorsFile file = SafetensorsFile::open(folder / "t.safetensors");
  EXPECT_THAT(error_text([&] { (void)file.tensor("latent"); }),
              AllOf(HasSubstr("no tensor latent"), HasSubstr("is latents")));
}

TEST(SafetensorsWriter, LeavesNothingWhereItCannotWrite) {
  const TemporaryFolder folder;
  const std::map<std::string, at::Tensor> tensors = {{"t", counting(at::kFloat)}};
  write_text(folder / "file", "text");
  std::filesystem::create_directories(folder / "folder");
  for (const char* name : {"none/t.safetensors", "file/t.safetensors", "folder"}) {
    EXPECT_THAT(error_text([&] { write_safetensors(folder / name, tensors, {}); }),
                HasSubstr(std::string(name) + ": cannot "));
  }
  EXPECT_THAT(folder.names(), UnorderedElementsAre("file", "folder"));
  EXPECT_TRUE(std::filesystem::is_empty(folder / "folder"));
}

TEST(SafetensorsWriter, LeavesTheOldFileWhenTheDiskIsFull) {
  const TemporaryFolder folder;
  write_safetensors(folder / "t.safetensors", {{"t", counting(at::kFloat)}}, {});
  {
    const FullDisk full(10'000);
    EXPECT_THAT(error_text([&] {
                  write_safetensors(folder / "t.safetensors", {{"t", at::zeros({10'000})}}, {});
                }),
                HasSubstr("t.safetensors: cannot write: File too large"));
  }
  EXPECT_THAT(folder.names(), UnorderedElementsAre("t.safetensors"));
  EXPECT_TRUE(at::equal(SafetensorsFile::open(folder / "t.safetensors").tensor("t"), counting(at::kFloat)));
}

TEST(SafetensorsWriter, RefusesDtypesThatTheFormatLacks) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_text([&] {
                write_safetensors(folder / "t.safetensors", {{"t", at::zeros({1}, at::kComplexFloat)}}, {});
              }),
              HasSubstr("safetensors can't hold dtype ComplexFloat"));
  EXPECT_THAT(folder.names(), IsEmpty());
}

}  // namespace
}  // namespace bitreel
