// JSON for people: rows on one line, and nothing lost.
#include "base/readable_json.h"

#include <gmock/gmock.h>

#include <string>

namespace bitreel {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::Lt;
using ::testing::SizeIs;

using nlohmann::ordered_json;

TEST(ReadableJson, WritesARowPerLine) {
  EXPECT_EQ(readable_json({{"name", "pocket"}, {"rows", {{1, 2}, {3, 4}}}, {"none", nullptr}}),
            "{\n \"name\": \"pocket\",\n \"rows\": [\n  [1, 2],\n  [3, 4]\n ],\n \"none\": null\n}\n");
  EXPECT_EQ(readable_json(ordered_json::array()), "[]\n");
}

TEST(ReadableJson, ReadsBackTheSame) {
  const ordered_json value = ordered_json::parse(
      R"({"a": [1, 2.5, -3e-7, true, null], "b": [], "c": {}, "d": [{"e": [[1], [2, "x\ny"]]}, 5], "f": [[]]})");
  EXPECT_EQ(ordered_json::parse(readable_json(value)), value);
}

TEST(ReadableJson, IsCutAtItsBound) {
  const ordered_json value = {{"name", "pocket"}, {"rows", {{1, 2}, {3, 4}}}};
  const std::string whole = readable_json(value);
  EXPECT_EQ(readable_json(value, whole.size()), whole);
  EXPECT_EQ(readable_json(value, 20), whole.substr(0, 20) + "\n... (cut after 20 bytes)\n");
  std::string wide = "[";
  for (int i = 0; i < 20'000; ++i) wide += std::string(63, '[') + std::string(63, ']') + ",";
  const std::string shown = readable_json(ordered_json::parse(wide + "0]"), 5000);
  EXPECT_THAT(shown, AllOf(SizeIs(Lt(5100U)), EndsWith("... (cut after 5000 bytes)\n")));
}

TEST(ReadableJson, ReplacesWhatIsNotUtf8) {
  const std::string text = readable_json({{"caf\xe9", {"\xff", 1}}});
  EXPECT_EQ(ordered_json::parse(text)["caf\xef\xbf\xbd"][0], "\xef\xbf\xbd");
}

}  // namespace
}  // namespace bitreel
