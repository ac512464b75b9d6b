// Files that are none, and texts that nest without an end.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "base/input_file.h"
#include "base/json_file.h"
#include "base/json_text.h"
#include "base/strict_yaml.h"
#include "tests/error_text.h"
#include "tests/files.h"
#include "tests/temporary_folder.h"

namespace bitreel::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string nested(std::size_t depth) {
  return std::string(depth, '[') + std::string(depth, ']');
}

TEST(InputFile, RefusesWhatIsNoRegularFileBeforeOpeningIt) {
  const TemporaryFolder folder;
  ASSERT_EQ(mkfifo((folder / "fifo").c_str(), 0600), 0);
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::strncpy(address.sun_path, (folder / "socket").c_str(), sizeof address.sun_path - 1);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  std::filesystem::create_symlink("fifo", folder / "link");
  struct Case {
    std::string path, reason;
  };
  for (const Case& one :
       {Case{folder / "fifo", "a FIFO"}, Case{folder / "link", "a FIFO"}, Case{folder / "socket", "a socket"},
        Case{"/dev/zero", "a device"}, Case{folder.path(), "a folder"}}) {
    EXPECT_THAT(error_text([&] { (void)read_file(one.path, {.expected = "a list"}); }),
                HasSubstr(fmt::format("{}: cannot be read: it is {}, expected a list", one.path, one.reason)));
    EXPECT_THAT(error_text<UsageError>([&] { check_regular<UsageError>(one.path, "a list"); }), HasSubstr(one.reason));
    EXPECT_THAT(error_text([&] { (void)read_json(one.path); }), HasSubstr(one.reason));
    EXPECT_THAT(error_text<UsageError>([&] { (void)StrictYaml::open(one.path); }), HasSubstr(one.reason));
  }
  close(socket);
}

TEST(InputFile, IsReadWhole) {
  const TemporaryFolder folder;
  const std::string text(200'000, 'x');
  write_text(folder / "file", text);
  EXPECT_EQ(read_file(folder / "file", {}), text);
  EXPECT_THAT(error_text([&] { (void)read_file(folder / "file", {.most_bytes = 199'999}); }),
              HasSubstr("it is larger than 199999 bytes"));
  EXPECT_THAT(error_text([&] { (void)read_file(folder / "none", {}); }), HasSubstr("No such file or directory"));
  EXPECT_FALSE(read_file("/proc/self/status", {}).empty()) << "whose size is said to be 0";
}

TEST(JsonText, HasOneLimitOnDepth) {
  EXPECT_FALSE(parse_json_if_any(nested(most_json_depth)).is_discarded());
  EXPECT_TRUE(parse_json_if_any(nested(most_json_depth + 1)).is_discarded());
  EXPECT_THAT(error_text([] { (void)parse_json(nested(200'000), "config.json"); }),
              HasSubstr("config.json: nested more than 64 deep"));
  EXPECT_FALSE(
      parse_json_if_any("[\"" + std::string(1000, '[') + "\\\"" + std::string(1000, '{') + "\"]").is_discarded())
      << "brackets in strings";
  EXPECT_FALSE(parse_json_if_any("[" + std::string("[],").append(200, ' ') + "[]]").is_discarded());
}

TEST(JsonText, SaysWhatIsWrong) {
  EXPECT_THAT(error_text([] { (void)parse_json("{\"a\": ", "x.json"); }),
              AllOf(HasSubstr("x.json: not valid JSON"), HasSubstr("end of input")));
}

TEST(StrictYaml, RefusesWhatNestsOrTurnsInCircles) {
  const auto error_of = [](const std::string& text) {
    return error_text<UsageError>([&] { (void)StrictYaml::parse(text, "a.yaml"); });
  };
  EXPECT_THAT(error_of(nested(65)), HasSubstr("a.yaml:1: nested more than 64 deep"));
  EXPECT_THAT(error_of(nested(100'000)), HasSubstr("nested more than 64 deep"));
  std::string blocks;
  for (int depth = 0; depth < 80; ++depth) blocks += std::string(static_cast<std::size_t>(depth), ' ') + "a:\n";
  EXPECT_THAT(error_of(blocks), HasSubstr("nested more than 64 deep"));
  EXPECT_THAT(error_of("a: 1\nb: &b [*b]\n"), HasSubstr("a.yaml:2: an alias inside of what it names"));
  EXPECT_THAT(error_of("a: 1\n---\na: 2\n"), HasSubstr("a.yaml:2: a second document begins"));
  EXPECT_THAT(error_of("a: [1\n"), HasSubstr("a.yaml:3: end of sequence flow not found"));
  EXPECT_EQ(StrictYaml::parse("---\na: &a [1]\nb: *a\n...\n", "a.yaml").root().size(), 2U);
}

}  // namespace
}  // namespace bitreel::test
