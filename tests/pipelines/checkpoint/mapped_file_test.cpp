// A file that is cut short while it is mapped.
#include "pipelines/checkpoint/mapped_file.h"

#include <gmock/gmock.h>

#include <csignal>
#include <cstdlib>

#include "base/partial.h"
#include "tests/error_text.h"
#include "tests/files.h"
#include "tests/temporary_folder.h"

namespace bitreel {
namespace {

int sum_of(const MappedFile& file) {
  int sum = 0;
  for (std::size_t i = 0; i < file.size(); i += 512) sum += static_cast<int>(file.data()[i]);
  return sum;
}

TEST(MappedFile, CutShortIsAnErrorByName) {
  const test::TemporaryFolder folder;
  const auto cut_and_read = [&] {
    watch_mapped_files();
    const auto path = test::write_text(folder / "model\033.safetensors", std::string(100'000, 'x'));
    const MappedFile other(test::write_text(folder / "other.safetensors", "x")), file(path);
    const Partial partial(folder / "clip.mp4");
    test::write_text(partial.path(), "half");
    std::filesystem::resize_file(path, 5000);
    std::_Exit(sum_of(file) == 0 ? 3 : 4);
  };
  EXPECT_EXIT(cut_and_read(), testing::ExitedWithCode(1), "bitreel: .*model.x1b.safetensors: the file was cut short");
  EXPECT_THAT(folder.names(), testing::Not(testing::Contains(testing::HasSubstr("partial"))));
}

std::string copied_text(const std::byte* from, std::size_t size) {
  std::string copied(size, ' ');
  copy_of_file(from, size, reinterpret_cast<std::byte*>(copied.data()));
  return copied;
}

TEST(MappedFile, IsCopiedFromItsFile) {
  const test::TemporaryFolder folder;
  const std::string text = "0123456789";
  const MappedFile other(test::write_text(folder / "other", "x")), file(test::write_text(folder / "file", text));
  EXPECT_EQ(copied_text(file.data() + 2, 5), "23456");
  EXPECT_EQ(copied_text(file.data(), 10), text);
  EXPECT_EQ(copied_text(reinterpret_cast<const std::byte*>(text.data()) + 3, 4), "3456");
}

TEST(MappedFile, CutShortIsAnErrorOfCopyingToo) {
  const test::TemporaryFolder folder;
  const auto path = test::write_text(folder / "model.safetensors", std::string(100'000, 'x'));
  const MappedFile file(path);
  std::filesystem::resize_file(path, 5000);
  EXPECT_EQ(copied_text(file.data(), 5000), std::string(5000, 'x'));
  EXPECT_THAT(error_text([&] { copied_text(file.data(), 5001); }),
              testing::HasSubstr("model.safetensors: the file was cut short"));
}

TEST(MappedFile, SparesOtherBusErrors) {
  EXPECT_EXIT((watch_mapped_files(), std::raise(SIGBUS), std::_Exit(0)), testing::KilledBySignal(SIGBUS), "");
}

}  // namespace
}  // namespace bitreel
