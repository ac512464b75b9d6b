// The examples of headers in app/batch/, compiled and run (manuals_test.cpp compares them line by line).
#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <atomic>
#include <filesystem>
#include <iostream>

#include "app/batch/agenda.h"
#include "app/batch/batch_run.h"
#include "app/batch/embeddings.h"
#include "app/batch/folder_lock.h"
#include "app/batch/gallery.h"
#include "app/batch/job_key.h"
#include "app/batch/jobs_file.h"
#include "app/batch/lanes.h"
#include "app/batch/ledger.h"
#include "app/batch/model_pool.h"
#include "app/batch/output_names.h"
#include "app/batch/progress.h"
#include "app/batch/prompt_rows.h"
#include "app/batch/render_task.h"
#include "app/batch/results.h"
#include "app/batch/setting_values.h"
#include "app/batch/shard.h"
#include "app/batch/task_book.h"
#include "app/render.h"
#include "base/json_file.h"
#include "base/written_file.h"
#include "tests/app/program.h"
#include "tests/examples_folder.h"
#include "tests/files.h"

namespace bitreel::test {
namespace {

namespace fs = std::filesystem;
using ::testing::SizeIs;

class BatchExamples : public ExamplesFolder {
 protected:
  const fs::path tiny_ = repository() / tiny_model;
};

TEST_F(BatchExamples, OfWhatIsToBeDone) {
  write_text(fs::absolute("prompts.csv"), "prompt,seed\na red circle,7\n");
  write_text(fs::absolute("jobs.yaml"), R"(
defaults:                            # settings of bitreel generate, for every job
  steps: 30
  attention: [full, int8]            # a list makes a job for each value, several lists their product
jobs:
  - {name: star, prompt: "a small blue star orbits on white", seed: [1, 2, 3]}       # 6 jobs
prompts_file: prompts.csv            # a job for each row (prompt_rows.h); also as a key of a job
output: "{name}/{seed}-{attention}.mp4"                       # relative to --output (output_names.h)
)");
  const std::vector<JobRow> rows = read_prompt_rows("prompts.csv");
  EXPECT_THAT(rows, SizeIs(1));
  {
    std::vector<Job> jobs = read_jobs("jobs.yaml");
    std::cout << jobs_yaml(jobs);
    EXPECT_THAT(jobs, SizeIs(8));
  }
  std::vector<Job> jobs = read_jobs("jobs.yaml");
  Job job = jobs[1];
  job.options.seed = 7;
  job.options.attention = "int8";
  const NameTemplate name = NameTemplate::parse("{name}/{seed:04}-{attention}.mp4", "jobs.yaml:9:9: output");
  name.fill(job);
  name_outputs(jobs, "out/batch");
  EXPECT_EQ(name.fill(job), "star/0007-int8.mp4");
  EXPECT_EQ(jobs[5].options.output, "star/3-int8.mp4");
  const SettingValues seeds{.key = "seed", .texts = {"1", "2", "3"}, .where = "jobs.yaml:4:11"};
  EXPECT_THAT(seeds.texts, SizeIs(3));
  const std::vector<double> costs = {4, 3, 2, 1};
  const Shard shard = shard_asked_for("2/4");
  const std::vector<int> owner = deal(costs, 4);
  EXPECT_EQ(owner[1], shard.number);
}

TEST_F(BatchExamples, OfTheWork) {
  write_text(fs::absolute("jobs.yaml"),
             "defaults: {model: " + tiny_.string() + ", device: cpu, steps: 1}\n" +
                 "jobs: [{prompt: a red circle, seed: [1, 2, 3, 4]}]\noutput: \"{seed}.mp4\"\n");
  for (const char* out : {"out", "out2"}) fs::create_directories(out);
  {
    ModelPool models;
    const std::vector<Task> tasks = agenda_of(read_jobs("jobs.yaml"), "out", models);
    const History history(read_ledgers("out").lines);
    const bool there = is_done(tasks[3], "out", history);
    EXPECT_FALSE(there);
    const Job& job = tasks[0].job;
    const TaskCost& cost = tasks[0].cost;
    {
      ModelPool models;
      const std::shared_ptr<Pipeline> model = models.open(job.options);
      models.use(*model);
      const std::set<Phase> keep = phases_to_keep(*model, cost.all_bytes());
      EXPECT_TRUE(keep.contains(Phase::denoise));
    }
  }
  ModelPool models;
  const std::vector<Task> tasks = agenda_of(read_jobs("jobs.yaml"), "out", models);
  const Task& task = tasks[0];
  const std::shared_ptr<Pipeline> model = models.open(task.job.options);
  const std::set<Phase> keep = phases_to_keep(*model, task.cost.all_bytes());
  const GenerateOptions& options = task.asked;
  const std::string content = content_of(*model, identify(*model));
  const std::string key = job_key(options, content);
  EXPECT_EQ(key, task.key);
  const Request request = resolve(task.job.options, model).request;
  const auto next_requests = [&] { return std::vector<Request>{request}; };
  Embeddings embeddings;
  const NamedTensors text = embeddings.of(*model, request, {.keep = keep, .ahead = next_requests});
  EXPECT_FALSE(text.empty());
  {
    const FolderLock lock = FolderLock::take("out", {});
    const FolderLock of_shard = FolderLock::take("out2", {.number = 2, .count = 4});
    Ledger ledger = Ledger::open("out/ledger.jsonl");
    ledger.append({.key = key, .state = JobState::started, .attempt = 1, .output = "star/7.mp4"});
    const LedgerLines read = read_ledgers("out");
    const History history(read.lines);
    history.attempts(key);
    history.done("star/7.mp4");
    EXPECT_EQ(history.attempts(key), 1);
    EXPECT_EQ(history.done("star/7.mp4"), nullptr);
    const TaskRun run{.models = models,
                      .embeddings = embeddings,
                      .last_begun = {},
                      .keep = keep,
                      .ahead = next_requests,
                      .on_step = [](std::int64_t, std::int64_t) {},
                      .on_file = [](const std::vector<std::string>&) {}};
    ClipOfTask clip(task, "out", run);
    clip.encode();
    denoise({&clip});
    clip.finish();
    const std::vector<std::string>& events = clip.events();
    EXPECT_TRUE(events.empty());
    EXPECT_TRUE(fs::exists("out/1.mp4"));
  }
  Console console(ProgressStyle::silent);
  {
    const double flop = 1e9;
    BatchProgress progress(console, {.jobs = 8});
    progress.expect(flop);
    progress.begin({.index = 3, .label = "4/8 ring", .flop = flop});
    progress.step(3, 12, 50);
    progress.end(3, ClipEnd::made);
    progress.seconds_left();
    EXPECT_EQ(progress.seconds_left(), 0) << "nothing is left";
  }
  {
    const double weights = 1e9, activations = 1e8;
    const std::vector<int> groups(16, 1);
    std::atomic<int> sum = 0;
    const auto render = [&](int clips) { sum += clips; };
    const LanesNeed need{.jobs = 16, .weight_bytes = weights, .activation_bytes = activations};
    const Lanes lanes = choose_lanes(*model, need, {});
    on_lanes(lanes.count, groups.size(), [&](std::size_t i) { render(groups[i]); });
    EXPECT_EQ(sum, 16);
  }
  {
    const std::string error = "no";
    const std::vector<const Task*> tasks = {&task};
    TaskBook book(tasks, {.folder = "out"}, console);
    for (const std::size_t i : book.pending()) {
      const TaskBook::Before before = book.begin(i);
      book.step(i, 1, 50);
      book.failed(i, error);
    }
    book.write();
    EXPECT_EQ(read_json("out/results.json")["counts"]["failed"], 1);
  }
  const std::vector<JobResult> results = run_batch(tasks, models, {.folder = "out", .retries = 1}, console);
  EXPECT_EQ(counts_of(results).done, 4);
  write_results("out", results);
  write_whole("out/index.html", gallery_page(read_json("out/results.json"), "out"));
  EXPECT_TRUE(fs::exists("out/index.html"));
}

}  // namespace
}  // namespace bitreel::test
