// JSON for people: rows on one line, and nothing lost.
#include "base/readable_json.h"

#include <gmock/gmock.h>

namespace bitreel {
namespace {

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

TEST(ReadableJson, ReplacesWhatIsNotUtf8) {
  const std::string text = readable_json({{"caf\xe9", {"\xff", 1}}});
  EXPECT_EQ(ordered_json::parse(text)["caf\xef\xbf\xbd"][0], "\xef\xbf\xbd");
}

}  // namespace
}  // namespace bitreel
