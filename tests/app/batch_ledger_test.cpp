// What a batch remembers, and who may work on it: ledger, lock, shards, keys.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "app/batch/folder_lock.h"
#include "app/batch/job_key.h"
#include "app/batch/ledger.h"
#include "app/batch/shard.h"
#include "app/render.h"
#include "base/error.h"
#include "tests/error_text.h"
#include "tests/files.h"
#include "tests/full_disk.h"
#include "tests/temporary_folder.h"

namespace bitreel::test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

LedgerLine line_of(const std::string& key, JobState state) {
  return {.key = key, .state = state, .output = key + ".mp4", .seconds = 1.5, .bytes = 7, .error = "no\nspace \xff"};
}

TEST(Ledger, IsOneObjectALineAndReadsBack) {
  const TemporaryFolder folder;
  Ledger ledger = Ledger::open(folder / "ledger.jsonl");
  for (const JobState state : {JobState::started, JobState::failed, JobState::started, JobState::done}) {
    ledger.append(line_of("k", state));
  }
  const std::string text = read_text(folder / "ledger.jsonl");
  EXPECT_EQ(std::ranges::count(text, '\n'), 4);
  const auto first = nlohmann::json::parse(text.substr(0, text.find('\n')));
  EXPECT_EQ(first["state"], "started");
  EXPECT_EQ(first["pid"], getpid());
  EXPECT_FALSE(first.contains("seconds"));
  const LedgerLines read = read_ledgers(folder.path());
  EXPECT_THAT(read.warnings, IsEmpty());
  ASSERT_EQ(read.lines.size(), 4);
  EXPECT_EQ(read.lines[3].bytes, 7);
  const History history(read.lines);
  EXPECT_EQ(history.attempts("k"), 1);
  EXPECT_EQ(history.failed("k"), nullptr) << "the last thing that happened counts";
  ASSERT_NE(history.done("k.mp4"), nullptr);
  EXPECT_EQ(history.done("k.mp4")->key, "k");
}

TEST(Ledger, CutsOffATornLineWhereverItIsTorn) {
  const TemporaryFolder folder;
  const fs::path file = folder / "ledger.jsonl";
  Ledger::open(file).append(line_of("a", JobState::done));
  const std::string whole = read_text(file);
  for (std::size_t length = 0; length <= whole.size(); ++length) {
    write_text(file, whole + whole.substr(0, length));
    Ledger ledger = Ledger::open(file);
    const bool torn = length > 0 && length < whole.size();
    EXPECT_EQ(ledger.repair().empty(), !torn);
    ledger.append(line_of("b", JobState::done));
    const LedgerLines read = read_ledgers(folder.path());
    EXPECT_THAT(read.warnings, IsEmpty());
    EXPECT_EQ(read.lines.size(), length == whole.size() ? 3 : 2);
    EXPECT_EQ(read.lines.back().key, "b");
  }
}

TEST(Ledger, TellsLinesThatMakeNoSense) {
  const TemporaryFolder folder;
  Ledger::open(folder / "ledger.jsonl").append(line_of("a", JobState::done));
  const std::string whole = read_text(folder / "ledger.jsonl");
  write_text(folder / "ledger.2-of-4.jsonl", "[]\n{\"key\": 3}\n\n" + whole + "{\"time\"");
  const LedgerLines read = read_ledgers(folder.path());
  EXPECT_EQ(read.lines.size(), 2);
  EXPECT_THAT(read.warnings, ElementsAre(HasSubstr("ledger.2-of-4.jsonl:1:"), HasSubstr(":2:"), HasSubstr(":3:")));
}

TEST(Ledger, PassesByNumbersThatNobodyCountsTo) {
  const TemporaryFolder folder;
  for (const char* attempt : {"9223372036854775807", "-1", "1e300", "1.5"}) {
    write_text(
        folder / "ledger.jsonl",
        fmt::format(R"({{"time": "t", "key": "k", "state": "started", "attempt": {}, "output": "o"}})", attempt) +
            "\n");
    const LedgerLines read = read_ledgers(folder.path());
    EXPECT_THAT(read.lines, IsEmpty()) << attempt;
    EXPECT_EQ(read.warnings.size(), 1) << attempt;
  }
}

TEST(Ledger, TakesBackALineThatDoesNotFitOnTheDisk) {
  const TemporaryFolder folder;
  Ledger ledger = Ledger::open(folder / "ledger.jsonl");
  ledger.append(line_of("a", JobState::done));
  const std::string before = read_text(folder / "ledger.jsonl");
  {
    const FullDisk full(before.size() + 10);
    EXPECT_THAT(error_text([&] { ledger.append(line_of("b", JobState::done)); }),
                AllOf(HasSubstr("cannot be written"), HasSubstr("what is done stays done")));
  }
  EXPECT_EQ(read_text(folder / "ledger.jsonl"), before);
  ledger.append(line_of("c", JobState::done));
  EXPECT_EQ(read_ledgers(folder.path()).lines.size(), 2);
}

TEST(FolderLock, IsHeldByOneAndDiesWithIt) {
  const TemporaryFolder folder;
  const pid_t child = fork();
  if (child == 0) {
    const FolderLock lock = FolderLock::take(folder.path(), {});
    write_text(folder / "held", "");
    while (true) pause();
  }
  while (!fs::exists(folder / "held")) usleep(1000);
  EXPECT_THAT(error_text([&] { FolderLock::take(folder.path(), {}); }),
              AllOf(HasSubstr("another bitreel batch is at work there"), HasSubstr("process " + std::to_string(child)),
                    HasSubstr(" on ")));
  EXPECT_THAT(error_text([&] { FolderLock::take(folder.path(), {.number = 1, .count = 2}); }),
              HasSubstr("process " + std::to_string(child)));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  const FolderLock lock = FolderLock::take(folder.path(), {});
}

TEST(FolderLock, LetsShardsWorkBesideEachOther) {
  const TemporaryFolder folder;
  const FolderLock first = FolderLock::take(folder.path(), {.number = 1, .count = 2});
  const FolderLock second = FolderLock::take(folder.path(), {.number = 2, .count = 2});
  EXPECT_THAT(error_text([&] { FolderLock::take(folder.path(), {.number = 2, .count = 2}); }), HasSubstr("at work"));
  EXPECT_THAT(error_text([&] { FolderLock::take(folder.path(), {}); }), HasSubstr("at work"));
}

TEST(Shard, DealsLongestFirstAndTheSameEverywhere) {
  EXPECT_THAT(deal({5, 5, 4, 4, 3, 3}, 3), ElementsAre(1, 2, 3, 3, 1, 2));
  EXPECT_THAT(deal({1}, 3), ElementsAre(1));
  const std::vector<double> costs = {9, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  const std::vector<int> owner = deal(costs, 2);
  double first = 0;
  for (std::size_t i = 0; i < costs.size(); ++i) first += owner[i] == 1 ? costs[i] : 0;
  EXPECT_EQ(first, 9);
}

class Variables {
 public:
  using Values = std::map<std::string, std::string>;
  explicit Variables(Values values) : values_(std::move(values)) {
    for (const auto& [name, value] : values_) setenv(name.c_str(), value.c_str(), 1);
  }
  ~Variables() {
    for (const auto& [name, value] : values_) unsetenv(name.c_str());
  }
  Variables(const Variables&) = delete;
  Variables& operator=(const Variables&) = delete;

 private:
  Values values_;
};

TEST(Shard, ComesFromTheFlagOrTheCluster) {
  EXPECT_EQ(name_of(shard_asked_for("")), "1-of-1");
  EXPECT_EQ(name_of(shard_asked_for("2/4")), "2-of-4");
  for (const char* text : {"2", "0/4", "5/4", "a/4", "2/", "2/4/8", "1/100001"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(error_text<UsageError>([&] { shard_asked_for(text); }), HasSubstr("--shard"));
  }
  {
    const Variables slurm(Variables::Values{{"SLURM_ARRAY_TASK_ID", "6"},
                                            {"SLURM_ARRAY_TASK_COUNT", "4"},
                                            {"SLURM_ARRAY_TASK_MIN", "2"},
                                            {"SLURM_ARRAY_TASK_STEP", "2"}});
    EXPECT_EQ(name_of(shard_asked_for("")), "3-of-4");
    EXPECT_EQ(name_of(shard_asked_for("1/2")), "1-of-2") << "the flag wins";
  }
  {
    const Variables slurm(Variables::Values{
        {"SLURM_ARRAY_TASK_ID", "7"}, {"SLURM_ARRAY_TASK_COUNT", "3"}, {"SLURM_ARRAY_TASK_MIN", "1"}});
    EXPECT_THAT(error_text<UsageError>([] { shard_asked_for(""); }), HasSubstr("shard 7 of 3"));
  }
  {
    const Variables kubernetes(Variables::Values{{"JOB_COMPLETION_INDEX", "0"}});
    EXPECT_THAT(error_text<UsageError>([] { shard_asked_for(""); }), HasSubstr("JOB_COMPLETION_COUNT is not"));
    const Variables counted(Variables::Values{{"JOB_COMPLETION_COUNT", "3"}});
    EXPECT_EQ(name_of(shard_asked_for("")), "1-of-3");
  }
}

TEST(JobKey, ChangesWithWhatThePixelsFollowFrom) {
  const TemporaryFolder folder;
  GenerateOptions options;
  options.prompt = "a star";
  options.steps = 50;
  const std::string key = job_key(options, "model");
  EXPECT_EQ(key.size(), 32);
  const auto changed = [&](auto&& change) {
    GenerateOptions other = options;
    change(other);
    return job_key(other, "model");
  };
  EXPECT_EQ(changed([](auto& o) { o.output = "elsewhere.mp4"; }), key);
  EXPECT_EQ(changed([](auto& o) { o.model = "/elsewhere"; }), key);
  EXPECT_NE(changed([](auto& o) { o.device = DeviceChoice::cuda; }), key);
  EXPECT_NE(changed([](auto& o) { o.steps = 51; }), key);
  EXPECT_NE(changed([](auto& o) { o.seed = 1; }), key);
  EXPECT_NE(changed([](auto& o) { o.attention = "int8"; }), key);
  EXPECT_NE(changed([](auto& o) { o.no_metadata = true; }), key);
  EXPECT_NE(job_key(options, "another model"), key);
  const std::string plan = write_text(folder / "plan.yaml", "one");
  const std::string with_plan = changed([&](auto& o) { o.attention = plan; });
  EXPECT_EQ(changed([&](auto& o) { o.attention = plan; }), with_plan);
  write_text(folder / "plan.yaml", "two");
  EXPECT_NE(changed([&](auto& o) { o.attention = plan; }), with_plan);
}

TEST(JobKey, KnowsAModelByItsContent) {
  const TemporaryFolder folder;
  const fs::path model = "tests/golden/cog2b/model", copy = folder / "copy";
  fs::copy(model, copy, fs::copy_options::recursive);
  const auto content = [](const fs::path& path) {
    GenerateOptions options;
    options.model = path;
    const std::shared_ptr<Pipeline> opened = open_model(options);
    return content_of(*opened, identify(*opened));
  };
  const std::string original = content(model);
  EXPECT_EQ(content(copy), original);
  write_text(copy / "README.md", "notes");
  EXPECT_EQ(content(copy), original);
  const fs::path config = copy / "scheduler/scheduler_config.json";
  write_text(config, read_text(config) + " ");
  EXPECT_NE(content(copy), original);
}

}  // namespace
}  // namespace bitreel::test
