// Every way in which a safetensors file can be wrong is one clear error, never a crash.
#include "pipelines/checkpoint/safetensors.h"

#include <sys/stat.h>

#include "tests/error_text.h"
#include "tests/files.h"
#include "tests/pipelines/checkpoint/safetensors_bytes.h"
#include "tests/temporary_folder.h"

namespace bitreel {
namespace {

using test::TemporaryFolder;
using test::write_text;
using testing::AllOf;
using testing::HasSubstr;

struct BadFile {
  const char* name;
  std::string bytes;
  const char* complaint;
};

void PrintTo(const BadFile& bad, std::ostream* out) {
  *out << bad.name;
}

// One tensor with this entry, over eight bytes of data.
std::string entry(const std::string& json) {
  return safetensors_bytes(R"({"t":)" + json + "}", "12345678");
}

const std::string good = R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})";

const BadFile bad_files[] = {
    {"empty", "", "the file is empty"},
    {"shorter_than_a_length", "1234567", "truncated: 7 bytes, expected at least 8"},
    {"header_length_huge", safetensors_bytes("{}", "", ~std::uint64_t{0}),
     "the header claims 18446744073709551615 bytes"},
    {"header_length_just_too_large", safetensors_bytes("{}", "", 100'000'001), "expected at most 100000000"},
    {"header_longer_than_the_file", safetensors_bytes("{}", "", 3),
     "truncated: the header claims 3 bytes, the file holds 10"},
    {"header_empty", safetensors_bytes("", "data"), "the header is not a JSON object"},
    {"header_not_json", safetensors_bytes("<html>no</html>", ""), "the header is not a JSON object"},
    {"header_cut", safetensors_bytes(R"({"t":{"dtype":)", ""), "the header is not a JSON object"},
    {"header_invalid_utf8", safetensors_bytes("{\"\xff\":1}", ""), "the header is not a JSON object"},
    {"header_an_array", safetensors_bytes("[1, 2]", ""), "the header is not a JSON object"},
    {"header_deeply_nested", safetensors_bytes(std::string(100'000, '['), ""), "the header is not a JSON object"},
    {"entry_not_an_object", entry("7"), "tensor t: the header lacks dtype, shape or data_offsets"},
    {"entry_without_dtype", entry(R"({"shape":[2],"data_offsets":[0,8]})"), "lacks dtype, shape or data_offsets"},
    {"entry_without_shape", entry(R"({"dtype":"F32","data_offsets":[0,8]})"), "lacks dtype, shape or data_offsets"},
    {"entry_without_offsets", entry(R"({"dtype":"F32","shape":[2]})"), "lacks dtype, shape or data_offsets"},
    {"unknown_dtype", entry(R"({"dtype":"F33","shape":[2],"data_offsets":[0,8]})"), R"(tensor t: unknown dtype "F33")"},
    {"dtype_a_number", entry(R"({"dtype":32,"shape":[2],"data_offsets":[0,8]})"), "tensor t: unknown dtype 32"},
    {"shape_not_a_list", entry(R"({"dtype":"F32","shape":2,"data_offsets":[0,8]})"), "tensor t: shape 2 is not a list"},
    {"shape_of_17_sides", entry(R"({"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2],"data_offsets":[0,8]})"),
     "is not a list"},
    {"negative_side", entry(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})"),
     "tensor t: -2 is not a valid size or offset"},
    {"fractional_side", entry(R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})"),
     "2.0 is not a valid size or offset"},
    {"side_past_int64", entry(R"({"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8]})"),
     "is not a valid size or offset"},
    {"side_past_every_integer", entry(R"({"dtype":"F32","shape":[1e400],"data_offsets":[0,8]})"),
     "the header is not a JSON object"},
    {"shape_overflows", entry(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]})"),
     "shape [4294967296,4294967296] overflows"},
    {"shape_overflows_beside_a_zero",
     entry(R"({"dtype":"F32","shape":[0,4611686018427387904,4611686018427387904],"data_offsets":[0,0]})"), "overflows"},
    {"offsets_not_a_pair", entry(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4,8]})"),
     "data_offsets is not a pair"},
    {"offsets_not_a_list", entry(R"({"dtype":"F32","shape":[2],"data_offsets":8})"), "data_offsets is not a pair"},
    {"offset_negative", entry(R"({"dtype":"F32","shape":[2],"data_offsets":[-8,0]})"),
     "-8 is not a valid size or offset"},
    {"offset_text", entry(R"({"dtype":"F32","shape":[2],"data_offsets":["0",8]})"),
     R"("0" is not a valid size or offset)"},
    {"offsets_reversed", entry(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})"),
     "takes 8 bytes, its offsets [8, 0] say otherwise"},
    {"offsets_of_another_size", entry(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})"),
     "takes 8 bytes, its offsets [0, 4] say otherwise"},
    {"offsets_past_the_end", entry(R"({"dtype":"F32","shape":[2],"data_offsets":[4,12]})"),
     "truncated: tensor t ends at byte 12 of the data, the file holds 8"},
    {"data_cut", safetensors_bytes(R"({"t":)" + good + "}", "1234567"),
     "truncated: tensor t ends at byte 8 of the data, the file holds 7"},
    {"bytes_after_the_last_tensor", safetensors_bytes(R"({"t":)" + good + "}", "12345678more"),
     "4 bytes follow the last tensor, t"},
    {"bytes_without_a_tensor", safetensors_bytes("{}", "1"), "1 bytes follow the last tensor"},
    {"bytes_between_tensors",
     safetensors_bytes(R"({"a":)" + good + R"(,"b":{"dtype":"U8","shape":[1],"data_offsets":[11,12]}})",
                       "123456781234"),
     "bytes 8 to 11 of the data belong to no tensor"},
    {"overlap",
     safetensors_bytes(R"({"a":)" + good + R"(,"b":{"dtype":"U8","shape":[1],"data_offsets":[7,8]}})", "12345678"),
     "tensors a and b overlap"},
    {"overlap_with_one_before_the_last",
     safetensors_bytes(
         R"({"a":)" + good +
             R"(,"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"c":{"dtype":"U8","shape":[1],"data_offsets":[5,6]}})",
         "12345678"),
     "overlap"},
    {"metadata_not_an_object", safetensors_bytes(R"({"__metadata__":["pt"]})", ""), "__metadata__ is not an object"},
    {"metadata_not_text", safetensors_bytes(R"({"__metadata__":{"seed":42}})", ""),
     "__metadata__.seed is not a string"},
};

class BadSafetensors : public testing::TestWithParam<BadFile> {};

TEST_P(BadSafetensors, IsOneErrorThatNamesTheFile) {
  const TemporaryFolder folder;
  const auto path = folder / "bad.safetensors";
  write_text(path, GetParam().bytes);
  EXPECT_THAT(error_text([&] { (void)SafetensorsFile::open(path); }),
              AllOf(HasSubstr(path.string() + ": "), HasSubstr(GetParam().complaint), HasSubstr("download it again")));
}

INSTANTIATE_TEST_SUITE_P(Files, BadSafetensors, testing::ValuesIn(bad_files),
                         [](const auto& info) { return info.param.name; });

TEST(BadSafetensors, AreNoFolderNoDeviceAndNotMissing) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_text([&] { (void)SafetensorsFile::open(folder / "none.safetensors"); }),
              HasSubstr("none.safetensors: cannot be read: No such file or directory"));
  EXPECT_THAT(error_text([&] { (void)SafetensorsFile::open(folder.path()); }),
              HasSubstr(folder.path().string() + ": cannot be read: it is a folder"));
  EXPECT_THAT(error_text([&] { (void)SafetensorsFile::open("/dev/zero"); }),
              HasSubstr("/dev/zero: cannot be read: it is a device"));
}

TEST(BadSafetensors, AreNoFifo) {
  const TemporaryFolder folder;
  ASSERT_EQ(mkfifo((folder / "weights.safetensors").c_str(), 0600), 0);
  EXPECT_THAT(error_text([&] { (void)SafetensorsFile::open(folder / "weights.safetensors"); }),
              HasSubstr("cannot be read: it is a FIFO"));
}

TEST(BadSafetensors, EveryTruncationOfAGoodFileIsNoticed) {
  const TemporaryFolder folder;
  const std::string whole = safetensors_bytes(R"({"t":)" + good + "}", "12345678");
  for (std::size_t size = 1; size < whole.size(); ++size) {
    write_text(folder / "cut.safetensors", whole.substr(0, size));
    EXPECT_THAT(error_text([&] { (void)SafetensorsFile::open(folder / "cut.safetensors"); }), HasSubstr("truncated"))
        << size << " bytes";
  }
}

}  // namespace
}  // namespace bitreel
