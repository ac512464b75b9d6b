// bitreel batch: the program on a file of jobs, killed, resumed, sharded, on a full disk.
#include <gmock/gmock.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "app/batch/folder_lock.h"
#include "app/files/latents_file.h"
#include "base/json_file.h"
#include "tests/app/program.h"
#include "tests/files.h"
#include "tests/golden.h"
#include "tests/temporary_folder.h"

namespace bitreel::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

// Clips without metadata: the same bytes whenever they are rendered.
std::string jobs_yaml(const std::string& jobs, int steps = 2) {
  return "defaults: {model: " + tiny_model + ", device: cpu, no_metadata: true, steps: " + std::to_string(steps) +
         "}\njobs:\n" + jobs + "output: \"{name}/{seed}.mkv\"\n";
}

const std::string four_jobs =
    "  - {name: circle, prompt: a red circle, seed: [1, 2]}\n"
    "  - {name: star, prompt: a blue star, seed: [1, 2], attention: int8}\n";

struct Batch {
  TemporaryFolder folder;
  fs::path jobs = folder / "jobs.yaml";
  fs::path out = folder / "out";

  explicit Batch(const std::string& yaml) { write_text(jobs, yaml); }
  [[nodiscard]] Outcome run(const std::vector<std::string>& more = {}, const ProgramOptions& options = {}) const {
    return run_bitreel(std::vector<std::string>{"batch", jobs.string(), "--output", out.string()} + more, options);
  }
  [[nodiscard]] json results() const { return read_json(out / "results.json"); }
  // Every clip's bytes, by its name in the folder.
  [[nodiscard]] std::map<std::string, std::string> clips() const {
    std::map<std::string, std::string> clips;
    for (const auto& entry : fs::recursive_directory_iterator(out)) {
      if (entry.is_regular_file() && entry.path().has_parent_path() && entry.path().parent_path() != out) {
        clips[entry.path().lexically_relative(out).string()] = read_text(entry.path());
      }
    }
    return clips;
  }
  [[nodiscard]] std::map<std::string, int> done_by_output() const {
    std::map<std::string, int> done;
    std::istringstream ledger(read_text(out / "ledger.jsonl"));
    for (std::string line; std::getline(ledger, line);) {
      const json entry = json::parse(line);
      if (entry["state"] == "done") ++done[entry["output"]];
    }
    return done;
  }
};

json counts(int done, int failed, int skipped, int missing) {
  return {{"done", done}, {"failed", failed}, {"skipped", skipped}, {"missing", missing}};
}

TEST(Batch, RendersWhatIsNewAndSkipsWhatIsDone) {
  Batch batch(jobs_yaml(four_jobs));
  const Outcome first = batch.run();
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(batch.results()["counts"], counts(4, 0, 0, 0));
  const auto clips = batch.clips();
  ASSERT_EQ(clips.size(), 4) << "and nothing beside them";
  EXPECT_NE(clips.at("circle/1.mkv"), clips.at("circle/2.mkv"));

  const Outcome single =
      run_bitreel({"generate", "--model", tiny_model, "--device", "cpu", "--no-metadata", "--steps", "2", "--prompt",
                   "a blue star", "--seed", "2", "--attention", "int8", "--output", batch.folder / "single.mkv"});
  ASSERT_EQ(single.code, 0) << single.err;
  EXPECT_EQ(read_text(batch.folder / "single.mkv"), clips.at("star/2.mkv")) << "as generate renders it";

  ASSERT_EQ(batch.run().code, 0);
  EXPECT_EQ(batch.results()["counts"], counts(0, 0, 4, 0));
  EXPECT_EQ(batch.results()["jobs"][0]["attempts"], 1);
  fs::remove(batch.out / "circle/2.mkv");
  write_text(batch.out / "star/1.mkv", "cut");
  write_text(batch.jobs, jobs_yaml("  - {name: circle, prompt: a red circle, seed: [1, 2]}\n"
                                   "  - {name: star, prompt: a blue star, seed: 1, attention: int8}\n"
                                   "  - {name: star, prompt: a blue star, seed: 2, attention: full}\n"));
  ASSERT_EQ(batch.run().code, 0);
  EXPECT_EQ(batch.results()["counts"], counts(3, 0, 1, 0)) << "one is gone, one is cut short, one has changed";
  const auto again = batch.clips();
  EXPECT_EQ(again.at("circle/2.mkv"), clips.at("circle/2.mkv"));
  EXPECT_EQ(again.at("star/1.mkv"), clips.at("star/1.mkv"));
  EXPECT_NE(again.at("star/2.mkv"), clips.at("star/2.mkv"));
}

TEST(Batch, KilledAnywhereEndsInTheSameFiles) {
  const Batch whole(jobs_yaml(four_jobs, 200));
  ASSERT_EQ(whole.run().code, 0);
  const Batch killed(jobs_yaml(four_jobs, 200));
  for (const std::string& after :
       {std::string("\"to_do\":4"), step_event("1/4 circle", 1), step_event("1/4 circle", 200),
        std::string("\"jobs_left\":3"), step_event("3/4 star", 1), std::string("\"jobs_left\":1")}) {
    const Outcome outcome = killed.run({"--progress", "json", "--parallel", "1"},
                                       {.file_size_limit = {}, .signal_after = after, .signal = SIGKILL});
    EXPECT_EQ(outcome.code, 1000 + SIGKILL) << after << "\n" << outcome.err;
  }
  // A crash of the machine may tear the last line.
  const fs::path ledger = killed.out / "ledger.jsonl";
  write_text(ledger, read_text(ledger) + "{\"time\": \"2026-");
  const Outcome last = killed.run();
  EXPECT_EQ(last.code, 0) << last.err;
  EXPECT_THAT(last.err, HasSubstr("a crash had left 15 bytes of a line at its end"));
  EXPECT_EQ(killed.clips(), whole.clips()) << "bit for bit, and nothing is left beside them";
  EXPECT_EQ(killed.done_by_output(), whole.done_by_output()) << "every job was done once";
}

TEST(Batch, KilledWithClipsSideBySideEndsInTheSameFiles) {
  const Batch whole(jobs_yaml(four_jobs, 200));
  ASSERT_EQ(whole.run({"--parallel", "1"}).code, 0);
  const Batch killed(jobs_yaml(four_jobs, 200));
  for (const std::string& after : {step_event("1/4 circle", 1), step_event("2/4 circle", 100),
                                   std::string("\"jobs_left\":3"), step_event("4/4 star", 50)}) {
    const Outcome outcome = killed.run({"--progress", "json", "--parallel", "3"},
                                       {.file_size_limit = {}, .signal_after = after, .signal = SIGKILL});
    EXPECT_EQ(outcome.code, 1000 + SIGKILL) << after << "\n" << outcome.err;
  }
  const Outcome last = killed.run({"--parallel", "3"});
  EXPECT_EQ(last.code, 0) << last.err;
  EXPECT_EQ(killed.clips(), whole.clips()) << "bit for bit, and nothing is left beside them";
  EXPECT_EQ(killed.done_by_output(), whole.done_by_output()) << "every job was done once";
}

TEST(Batch, InterruptedKeepsEveryRunningClip) {
  const Batch whole(jobs_yaml(four_jobs, 200)), batch(jobs_yaml(four_jobs, 200));
  ASSERT_EQ(whole.run().code, 0);
  for (const std::vector<std::string>& how :
       {std::vector<std::string>{"--parallel", "2"}, {"--parallel", "1", "--batch-size", "2"}}) {
    fs::remove_all(batch.out);
    const Outcome outcome =
        batch.run(std::vector<std::string>{"--progress", "json"} + how,
                  {.file_size_limit = {}, .signal_after = step_event("2/4 circle", 1), .signal = SIGTERM});
    EXPECT_EQ(outcome.code, 128 + SIGTERM) << outcome.err;
    EXPECT_EQ(batch.results()["counts"], counts(0, 0, 0, 4));
    for (const char* kept : {"circle/1.unfinished.safetensors", "circle/2.unfinished.safetensors"}) {
      EXPECT_TRUE(fs::exists(batch.out / kept)) << kept;
    }
    const Outcome again = batch.run(how);
    EXPECT_EQ(again.code, 0) << again.err;
    EXPECT_THAT(again.err, ContainsRegex("taken up again after step [0-9]+ of 200"));
    if (how.size() == 2) {
      EXPECT_EQ(batch.clips(), whole.clips());
    } else {
      EXPECT_EQ(batch.clips().size(), 4) << "and nothing beside them";
    }
  }
}

TEST(Batch, ClipsThatShareABatchEqualThoseMadeAlone) {
  const std::string jobs =
      "  - {name: circle, prompt: a red circle, seed: [1, 2], guidance_scale: 3}\n"
      "  - {name: star, prompt: a blue star, seed: [1, 2], attention: int8, guard: 2, guard_bound: 1e-7}\n"
      "  - {name: dot, prompt: a dot, guidance_scale: 1}\n";
  const std::string defaults = "defaults: {model: " + tiny_model +
                               ", device: cpu, dtype: fp32, steps: 9, save_latents: \"{name}/{seed}.safetensors\"}\n";
  const std::string yaml = defaults + "jobs:\n" + jobs + "output: \"{name}/{seed}.mkv\"\n";
  const Batch alone(yaml), together(yaml);
  ASSERT_EQ(alone.run({"--parallel", "1", "--batch-size", "1"}).code, 0);
  const Outcome outcome = together.run({"--parallel", "1", "--batch-size", "3", "--progress", "json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr(R"("side_by_side":1,"batch_size":3)"));
  for (const auto& [clip, in_batch] :
       {std::pair{"circle/1", 3}, {"circle/2", 3}, {"star/1", 3}, {"star/2", 0}, {"dot/0", 0}}) {
    SCOPED_TRACE(clip);
    const std::string latents = std::string(clip) + ".safetensors", sidecar = std::string(clip) + ".mkv.json";
    EXPECT_LE(worst_share(read_latents(together.out / latents).latents.at("latents"),
                          read_latents(alone.out / latents).latents.at("latents")),
              1e-4);
    const json own = read_json(alone.out / sidecar), shared = read_json(together.out / sidecar);
    EXPECT_EQ(shared["run"].value("clips_in_batch", 0), in_batch);
    EXPECT_EQ(shared["attention"]["executed"], own["attention"]["executed"]) << "the guard's moves included";
    EXPECT_EQ(shared["attention"]["ran"], own["attention"]["ran"]);
  }
}

TEST(Batch, AClipThatFailsStopsNoOtherOfItsBatch) {
  const Batch batch(
      jobs_yaml("  - {name: circle, prompt: a red circle, seed: [1, 2]}\n"
                "  - {name: lost, prompt: a ring}\n"
                "  - {name: star, prompt: a blue star}\n"));
  fs::create_directories(batch.out);
  write_text(batch.out / "lost", "no folder");
  const Outcome outcome = batch.run({"--parallel", "1", "--batch-size", "4"});
  EXPECT_EQ(outcome.code, 1) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("1 of 4 jobs are not done"));
  const json results = batch.results();
  EXPECT_EQ(results["counts"], counts(3, 1, 0, 0));
  EXPECT_EQ(results["jobs"][2]["state"], "failed");
  fs::remove(batch.out / "lost");
  ASSERT_EQ(batch.run().code, 0);
  EXPECT_EQ(batch.results()["counts"], counts(1, 0, 3, 0));
}

TEST(Batch, AModelThatCannotBeReadForAWhileCostsNothingThatIsDone) {
  const Batch batch("");
  const fs::path model = batch.folder / "model";
  fs::copy(tiny_model, model, fs::copy_options::recursive);
  const std::string defaults = "defaults: {model: " + model.string() + ", device: cpu, no_metadata: true, steps: 2}\n";
  write_text(batch.jobs, defaults + "jobs:\n" + four_jobs + "output: \"{name}/{seed}.mkv\"\n");
  ASSERT_EQ(batch.run().code, 0);
  const auto clips = batch.clips();
  const fs::path weights = model / "transformer/diffusion_pytorch_model-00001-of-00003.safetensors";
  fs::rename(weights, batch.folder / "away");
  const Outcome without = batch.run();
  EXPECT_EQ(without.code, 1) << without.err;
  EXPECT_THAT(without.err, HasSubstr("transformer"));
  EXPECT_EQ(batch.clips(), clips) << "what was rendered stays";
  fs::rename(batch.folder / "away", weights);
  ASSERT_EQ(batch.run().code, 0);
  EXPECT_EQ(batch.results()["counts"], counts(0, 0, 4, 0));
}

TEST(Batch, RefusesLanesThatMakeNoSense) {
  const Batch batch(jobs_yaml(four_jobs));
  for (const std::vector<std::string>& flags : {std::vector<std::string>{"--parallel", "0"},
                                                {"--parallel", "two"},
                                                {"--batch-size", "-1"},
                                                {"--batch-size", "1025"}}) {
    const Outcome outcome = batch.run(flags);
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("expected auto or a number from 1 to 1024"));
  }
  EXPECT_FALSE(fs::exists(batch.out));
}

TEST(Batch, InterruptedKeepsTheRunningClipAndSaysSo) {
  const Batch whole(jobs_yaml(four_jobs, 200)), batch(jobs_yaml(four_jobs, 200));
  ASSERT_EQ(whole.run().code, 0);
  const Outcome outcome =
      batch.run({"--progress", "json", "--parallel", "1"},
                {.file_size_limit = {}, .signal_after = step_event("2/4 circle", 1), .signal = SIGTERM});
  EXPECT_EQ(outcome.code, 128 + SIGTERM) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("the same command goes on from there"));
  EXPECT_EQ(batch.results()["counts"], counts(1, 0, 0, 3));
  ASSERT_TRUE(fs::exists(batch.out / "circle/2.unfinished.safetensors"));
  const Outcome again = batch.run();
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_THAT(again.err, ContainsRegex("taken up again after step [0-9]+ of 200"));
  EXPECT_EQ(batch.results()["counts"], counts(3, 0, 1, 0));
  EXPECT_EQ(batch.clips(), whole.clips());
}

TEST(Batch, AFullDiskFailsItsJobsAndTheNextRunMendsThem) {
  const Batch whole(jobs_yaml(four_jobs));
  ASSERT_EQ(whole.run().code, 0);
  std::size_t smallest = std::string::npos;
  for (const auto& [name, bytes] : whole.clips()) smallest = std::min(smallest, bytes.size());
  const Batch batch(jobs_yaml(four_jobs));
  const Outcome full = batch.run({"--retries", "1"}, {.file_size_limit = smallest - 1, .signal_after = {}});
  EXPECT_EQ(full.code, 1) << full.err;
  EXPECT_THAT(full.err, Not(HasSubstr("terminate")));
  const Outcome again = batch.run();
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(batch.clips(), whole.clips());
}

TEST(Batch, OneFailingJobStopsNoOther) {
  const Batch batch("");
  const fs::path model = batch.folder / "model";
  fs::copy(tiny_model, model, fs::copy_options::recursive);
  write_text(batch.jobs, jobs_yaml("  - {name: lost, prompt: a ring, model: " + model.string() + "}\n" + four_jobs));
  fs::remove(model / "vae/diffusion_pytorch_model.safetensors");
  const Outcome outcome = batch.run({"--retries", "2"});
  EXPECT_EQ(outcome.code, 1) << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("1 of 5 jobs are not done"), HasSubstr("0 lost (lost/0.mkv): failed:"),
                                 HasSubstr("vae")));
  const json results = batch.results();
  EXPECT_EQ(results["counts"], counts(4, 1, 0, 0));
  EXPECT_EQ(results["jobs"][0]["state"], "failed");
  EXPECT_EQ(results["jobs"][0]["attempts"], 3);
  EXPECT_THAT(results["jobs"][0]["error"].get<std::string>(), HasSubstr("vae"));
  fs::copy(tiny_model + "/vae/diffusion_pytorch_model.safetensors", model / "vae");
  const Outcome again = batch.run();
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(batch.results()["counts"], counts(1, 0, 4, 0));
}

TEST(Batch, IsAloneInItsFolder) {
  const Batch batch(jobs_yaml(four_jobs));
  fs::create_directories(batch.out);
  const FolderLock lock = FolderLock::take(batch.out, {});
  const Outcome outcome = batch.run();
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("another bitreel batch is at work there: process " + std::to_string(getpid()))));
}

TEST(Batch, ShardsMakeOneResult) {
  const Batch batch(jobs_yaml(four_jobs)), whole(jobs_yaml(four_jobs));
  ASSERT_EQ(whole.run().code, 0);
  ASSERT_EQ(batch.run({"--shard", "1/2"}).code, 0);
  EXPECT_EQ(batch.clips().size(), 2);
  const Outcome half = batch.run({"--collect"});
  EXPECT_EQ(half.code, 1);
  EXPECT_THAT(half.err, AllOf(HasSubstr("2 of 4 jobs are not done"), HasSubstr("missing")));
  EXPECT_EQ(batch.results()["counts"], counts(2, 0, 0, 2));
  ASSERT_EQ(batch.run({"--shard", "2/2"}).code, 0);
  EXPECT_EQ(batch.run({"--collect"}).code, 0);
  EXPECT_EQ(batch.results()["counts"], counts(4, 0, 0, 0));
  EXPECT_EQ(batch.clips(), whole.clips());
  ASSERT_EQ(batch.run().code, 0);
  EXPECT_EQ(batch.results()["counts"], counts(0, 0, 4, 0)) << "all ledgers of the folder count";
}

TEST(Batch, TellsBeforehandWhatItWouldDo) {
  const Batch batch(jobs_yaml(four_jobs));
  const Outcome dry = batch.run({"--dry-run"});
  EXPECT_EQ(dry.code, 0) << dry.err;
  EXPECT_THAT(dry.out,
              AllOf(HasSubstr("star/2.mkv  48x32, 17 frames, 2 steps, int8, seed 2"), HasSubstr("4 jobs, 4 to do")));
  EXPECT_FALSE(fs::exists(batch.out));
  const Outcome config = run_bitreel({"batch", batch.jobs.string(), "--print-config"});
  ASSERT_EQ(config.code, 0) << config.err;
  ASSERT_EQ(batch.run().code, 0);
  write_text(batch.jobs, config.out);
  EXPECT_EQ(run_bitreel({"batch", batch.jobs.string(), "--print-config"}).out, config.out);
  ASSERT_EQ(batch.run().code, 0);
  EXPECT_EQ(batch.results()["counts"], counts(0, 0, 4, 0)) << "the printed jobs are the same jobs";
}

TEST(Batch, SpeaksJson) {
  const Batch batch(jobs_yaml("  - {name: circle, prompt: a red circle, seed: [1, 2]}\n"));
  const Outcome outcome = batch.run({"--progress", "json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  std::map<std::string, int> events;
  std::istringstream lines(outcome.out);
  for (std::string line; std::getline(lines, line);) {
    const json event = json::parse(line);
    ++events[event["event"]];
    if (event["event"] != "step") continue;
    EXPECT_EQ(event["name"], "circle");
    EXPECT_EQ(event["phase"], std::to_string(event["job"].get<int>() + 1) + "/2 circle") << "which job it is of";
  }
  EXPECT_EQ(events["job"], 2);
  EXPECT_EQ(events["step"], 4);
  EXPECT_EQ(events["done"], 1);
}

TEST(Batch, RefusesAFileThatMakesNoSense) {
  struct Case {
    std::string yaml, text;
  };
  for (const Case& c : {Case{jobs_yaml("  - {prompt: x, num_frames: 18}\n"), "jobs.yaml:3:5: --num-frames 18"},
                        Case{jobs_yaml("  - {steps: 2}\n"), "jobs.yaml:3:5: there is no prompt"},
                        Case{jobs_yaml("  - {prompt: x, output: x.mpv}\n"), ".mpv"},
                        Case{jobs_yaml("  - {prompt: x, seed: [1, 1]}\n"), "output x/1.mkv is taken"}}) {
    SCOPED_TRACE(c.yaml);
    const Batch batch(c.yaml);
    const Outcome outcome = batch.run();
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(c.text));
    EXPECT_FALSE(fs::exists(batch.out));
  }
}

}  // namespace
}  // namespace bitreel::test
