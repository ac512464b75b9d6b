// What a batch leaves for programs, spreadsheets and eyes.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "app/batch/results.h"
#include "base/json_file.h"
#include "tests/error_text.h"
#include "tests/files.h"
#include "tests/temporary_folder.h"

namespace bitreel::test {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

JobResult result_of(std::size_t index, JobOutcome outcome, const std::string& prompt) {
  return {.key = fmt::format("k{}", index),
          .index = index,
          .name = "clip",
          .outcome = outcome,
          .output = "clip.mp4",
          .settings = {{"prompt", prompt}, {"steps", 2}, {"seed", index}},
          .seconds = outcome == JobOutcome::missing ? std::nullopt : std::optional(1.5),
          .attempts = 1,
          .error = outcome == JobOutcome::failed ? "no space\nleft" : ""};
}

const std::string hostile = "</script><script>alert(1)</script> \u2028 \"a, b\"";

TEST(BatchResults, AreJsonWithCountsThatAddUp) {
  const TemporaryFolder folder;
  write_results(folder.path(), {result_of(0, JobOutcome::done, "a"), result_of(1, JobOutcome::skipped, "b"),
                                result_of(2, JobOutcome::failed, hostile), result_of(3, JobOutcome::missing, "d")});
  EXPECT_THAT(folder.names(), ElementsAre("index.html", "results.csv", "results.json"));
  const json results = read_json(folder / "results.json");
  EXPECT_EQ(results["counts"], json({{"done", 1}, {"skipped", 1}, {"failed", 1}, {"missing", 1}}));
  ASSERT_EQ(results["jobs"].size(), 4);
  EXPECT_EQ(results["jobs"][2], json({{"key", "k2"},
                                      {"index", 2},
                                      {"name", "clip"},
                                      {"state", "failed"},
                                      {"output", "clip.mp4"},
                                      {"settings", {{"prompt", hostile}, {"steps", 2}, {"seed", 2}}},
                                      {"seconds", 1.5},
                                      {"attempts", 1},
                                      {"error", "no space\nleft"}}));
  EXPECT_EQ(results["jobs"][3]["seconds"], nullptr);
  EXPECT_EQ(results["jobs"][0]["error"], nullptr);
}

TEST(BatchResults, AreATableWithQuotes) {
  const TemporaryFolder folder;
  write_results(folder.path(), {result_of(0, JobOutcome::failed, "say \"hi\", twice")});
  EXPECT_THAT(read_text(folder / "results.csv"),
              AllOf(HasSubstr("index,name,state,key,output,seconds,attempts,error,mode,prompt,negative_prompt,"),
                    HasSubstr("\r\n0,clip,failed,k0,clip.mp4,1.5,1,\"no space\nleft\",,\"say \"\"hi\"\", twice\",,")));
}

TEST(BatchResults, PromptsCannotEndThePagesScript) {
  const TemporaryFolder folder;
  write_results(folder.path(), {result_of(0, JobOutcome::done, hostile), result_of(1, JobOutcome::done, "b")});
  const std::string page = read_text(folder / "index.html");
  EXPECT_THAT(page, Not(HasSubstr("<script>alert")));
  const std::string opening = "<script type=\"application/json\" id=\"data\">";
  const std::size_t begin = page.find(opening) + opening.size();
  const json data = json::parse(page.substr(begin, page.find("</script>", begin) - begin));
  EXPECT_EQ(data["jobs"][0]["prompt"], hostile);
  EXPECT_EQ(data["common"], json({{"steps", 2}}));
  EXPECT_EQ(data["varying"], json({"seed"}));
  EXPECT_EQ(data["jobs"][1]["settings"], json({{"seed", 1}}));
}

TEST(BatchResults, AreAClearErrorWhereTheyCannotBeWritten) {
  EXPECT_THAT(error_text([] { write_results("/proc/no", {}); }), HasSubstr("/proc/no/results.json"));
}

}  // namespace
}  // namespace bitreel::test
