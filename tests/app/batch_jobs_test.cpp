// Jobs files: what they expand to, and what they complain of.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <chrono>
#include <filesystem>

#include "app/batch/jobs_file.h"
#include "app/batch/output_names.h"
#include "base/error.h"
#include "tests/error_text.h"
#include "tests/files.h"
#include "tests/temporary_folder.h"

namespace bitreel::test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<Job> jobs_of(const TemporaryFolder& folder, const std::string& yaml) {
  std::vector<Job> jobs = read_jobs(write_text(folder / "jobs.yaml", yaml));
  name_outputs(jobs, folder / "out");
  return jobs;
}

std::vector<std::string> outputs_of(const std::vector<Job>& jobs) {
  std::vector<std::string> outputs;
  outputs.reserve(jobs.size());
  for (const Job& job : jobs) outputs.push_back(job.options.output.string());
  return outputs;
}

std::string refusal_of(const std::string& yaml) {
  const TemporaryFolder folder;
  return error_text<UsageError>([&] { jobs_of(folder, yaml); });
}

TEST(JobsFile, ListsMakeTheirProductInTheFilesOrder) {
  const TemporaryFolder folder;
  const std::vector<Job> jobs = jobs_of(folder,
                                        "defaults: {steps: 3, attention: [full, int8]}\n"
                                        "jobs:\n"
                                        "  - {name: star, prompt: a star, seed: [1, 2]}\n"
                                        "  - {prompt: \"A Ring, spinning!\", attention: int4, steps: 5}\n"
                                        "output: \"{index:02}-{name}/{seed}-{attention}-{steps}.mp4\"\n");
  EXPECT_THAT(outputs_of(jobs), ElementsAre("00-star/1-full-3.mp4", "01-star/2-full-3.mp4", "02-star/1-int8-3.mp4",
                                            "03-star/2-int8-3.mp4", "04-a-ring-spinning/0-int4-5.mp4"));
  EXPECT_EQ(jobs[4].options.steps, 5);
  EXPECT_EQ(jobs[1].where, (folder / "jobs.yaml").string() + ":3:5");
}

TEST(JobsFile, PromptsComeFromTextCsvAndJson) {
  const TemporaryFolder folder;
  write_text(folder / "p.txt", "a red circle\r\n\na blue star\n");
  write_text(folder / "p.csv",
             "\xEF\xBB\xBFprompt,seed,name\r\n"
             "\"a \"\"big\"\" red circle,\nmoving\",7,\r\n"
             "a blue star,,star\r\n");
  write_text(folder / "p.json",
             R"(["a ring", {"prompt": "a cross", "seed": [3, 4], "objects": [{"colour": "red"}], "background": "x"}])");
  for (const auto& [file, expected] : std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"p.txt", {"a-red-circle 0 2", "a-blue-star 0 2"}},
           {"p.csv", {"a-big-red-circle-moving 7 2", "star 0 2"}},
           {"p.json", {"a-ring 0 2", "a-cross 3 2", "a-cross 4 2"}}}) {
    SCOPED_TRACE(file);
    const std::vector<Job> jobs =
        jobs_of(folder, fmt::format("defaults: {{steps: 2}}\nprompts_file: {}\noutput: \"{{name}} {{seed}} {{steps}}\"",
                                    (folder / file).string()));
    EXPECT_EQ(outputs_of(jobs), expected);
  }
  const std::vector<Job> jobs =
      jobs_of(folder, fmt::format("jobs: [{{prompts_file: {}, seed: [1, 2]}}]", (folder / "p.txt").string()));
  EXPECT_THAT(outputs_of(jobs), ElementsAre("000-a-red-circle.mp4", "001-a-red-circle.mp4", "002-a-blue-star.mp4",
                                            "003-a-blue-star.mp4"));
}

TEST(JobsFile, PrintedWithEverySettingReadsBackTheSame) {
  const TemporaryFolder folder;
  const std::vector<Job> jobs = jobs_of(folder,
                                        "jobs:\n"
                                        "  - {name: \"a {brace}\", prompt: \"tab\\t, \\\"quote\\\" and \\u2028\", "
                                        "seed: [18446744073709551615, 0], guidance_scale: 0.1, vae_tiling: true}\n"
                                        "output: \"{{x}}/{seed}-{guidance_scale}.webm\"\n");
  const std::string printed = jobs_yaml(jobs);
  const std::vector<Job> again = jobs_of(folder, printed);
  EXPECT_EQ(jobs_yaml(again), printed);
  ASSERT_EQ(again.size(), 2);
  EXPECT_EQ(again[0].options.output, "{x}/18446744073709551615-0.1.webm");
  EXPECT_EQ(again[0].name, "a {brace}");
  EXPECT_EQ(again[0].options.prompt, jobs[0].options.prompt);
}

TEST(JobsFile, RefusesWithFileLineAndColumn) {
  struct Case {
    std::string yaml, first, second;
  };
  const std::string one = "jobs:\n  - {prompt: a star}\n";
  for (const Case& c : std::vector<Case>{
           {"", "holds no jobs", "jobs: ["},
           {"- a\n", "holds no jobs", ""},
           {"jobs: [\n", "jobs.yaml:", ""},
           {"defaults: {}\n", "neither jobs nor a prompts_file", ""},
           {"jobs: []\n", "jobs.yaml:1:7: jobs is not a list with entries", ""},
           {"jobs: [3]\n", "jobs.yaml:1:8: a job is not a map", ""},
           {one + "job: 3\n", "jobs.yaml:3:1: unknown key job", "did you mean jobs?"},
           {one + "jobs: 3\n", "jobs.yaml:3:1: jobs is given twice", ""},
           {"jobs:\n  - {prompt: x, seed: 1, seed: 2}\n", "jobs.yaml:2:26: seed is given twice", ""},
           {"jobs:\n  - {prompt: x, sead: 1}\n", "jobs.yaml:2:17: unknown key sead", "did you mean seed?"},
           {"jobs:\n  - {prompt: x, <<: 1}\n", "jobs.yaml:2:17: unknown key <<", ""},
           {"jobs:\n  - {prompt: x, steps: many}\n", "jobs.yaml:2:24: steps is \"many\", expected a whole number", ""},
           {"jobs:\n  - {prompt: x, steps: [1, [2]]}\n", "a value of steps is a list or a map", ""},
           {"jobs:\n  - {prompt: x, steps: []}\n", "steps is an empty list", ""},
           {"jobs:\n  - {prompt: x, steps: }\n", "steps is empty", "leave the line out"},
           {"jobs:\n  - {prompt: x, name: [a, b]}\n", "name is a list", ""},
           {"jobs:\n  - {prompt: x, name: \"\"}\n", "name is empty", ""},
           {"jobs:\n  - {prompt: x, output: [a, b]}\n", "output is a list", "{index:03}"},
           {"jobs:\n  - {prompt: x, seed: -1}\n", "seed is -1, a random one", "seed 0"},
           {"jobs:\n  - {prompt: \"caf\xe9\"}\n", "not valid UTF-8", ""},
           {"defaults: {prompts_file: x}\n" + one, "belongs beside defaults", ""},
           {"defaults: {output: x}\noutput: y\n" + one, "given under defaults as well", ""},
           {"prompts_file: no.txt\n", "no.txt: cannot be read: No such file or directory, expected a file of prompts",
            ""},
           {one + "output: \"{indx:03}.mp4\"\n", "jobs.yaml:3:9: output: there is no field {indx}", "{index}"},
           {one + "output: \"{prompt-slug}\"\n", "no field {prompt-slug}", "did you mean {prompt_slug}?"},
           {one + "output: \"{name:03}.mp4\"\n", "expected a whole number's field", "{index:03}"},
           {one + "output: \"{index:3}.mp4\"\n", "expected a whole number's field", "007"},
           {one + "output: \"{index.mp4\"\n", "has no partner", "{{"},
           {one + "output: \"index}.mp4\"\n", "has no partner", ""},
           {one + "output: \"/tmp/x.mp4\"\n", "leaves the batch's folder", ""},
           {one + "output: \"a/../../x.mp4\"\n", "leaves the batch's folder", ""},
           {one + "output: \"results.mp4\"\n", "the batch's own files", ""},
           {one + "output: \".x.mp4\"\n", "the batch's own files", ""},
           {one + "output: \"" + std::string(201, 'x') + "\"\n", "a part of 201 bytes", ""},
           {"jobs:\n  - {prompt: x, seed: [1, 2]}\noutput: \"{name}.mp4\"\n", "output x.mp4 is taken: job 0 (",
            "tell jobs apart"},
           {"jobs:\n  - {prompt: x, output: a.mp4}\n  - {prompt: x, output: a.webm}\n", "output a.webm is taken", ""},
           {"jobs:\n  - {prompt: x, output: a.png, num_images: 2}\n  - {prompt: x, output: a-2.png}\n",
            "output a-2.png is taken", ""},
           {"jobs:\n  - {prompt: x, output: a/}\n  - {prompt: x, output: a/b.mp4}\n", "output a/b.mp4 is taken", ""},
       }) {
    SCOPED_TRACE(c.yaml);
    EXPECT_THAT(refusal_of(c.yaml), AllOf(HasSubstr(c.first), HasSubstr(c.second)));
  }
}

TEST(JobsFile, RefusesFilesOfPromptsWithTheirLine) {
  struct Case {
    std::string name, text, first;
  };
  for (const Case& c : std::vector<Case>{
           {"p.txt", "\n\n", "holds no prompts"},
           {"p.csv", "prompt,sede\n", "p.csv:1: unknown key sede"},
           {"p.csv", "prompt,prompt\n", "two columns are called prompt"},
           {"p.csv", "prompt,seed\na,1\nb\n", "p.csv:3: 1 cells, expected 2"},
           {"p.csv", "prompt\n\"a\n", "p.csv:2: the quote that opens here is never closed"},
           {"p.csv", "prompt,seed\na,x\n", "p.csv:2: seed is \"x\""},
           {"p.json", "{}", "is not a JSON list"},
           {"p.json", "[1]", "entry 0 is neither a prompt nor"},
           {"p.json", "[{\"prompt\": \"a\", \"prompt\": \"b\"}]", "\"prompt\" is given twice"},
           {"p.json", "[{\"prompt\": {}}]", "entry 0: prompt is a list or an object"},
           {"p.json", "[", "not valid JSON"},
           {"p.json", std::string(1 << 20, '['), "nested more than 64 deep"},
       }) {
    SCOPED_TRACE(c.text.substr(0, 80));
    const TemporaryFolder folder;
    write_text(folder / c.name, c.text);
    EXPECT_THAT(
        error_text<UsageError>([&] { jobs_of(folder, fmt::format("prompts_file: {}", (folder / c.name).string())); }),
        HasSubstr(c.first));
  }
}

TEST(JobsFile, OutputsStayInTheFolderBehindLinksToo) {
  const TemporaryFolder folder;
  fs::create_directories(folder / "out");
  fs::create_directory_symlink("/tmp", folder / "out" / "away");
  EXPECT_THAT(error_text<UsageError>([&] { jobs_of(folder, "jobs: [{prompt: x, output: away/x.mp4}]"); }),
              HasSubstr("through a link: /tmp"));
}

// Files that are made to take all memory or time are errors within seconds.
TEST(JobsFile, SurvivesHostileYaml) {
  std::string aliases = "a: &a [x, x, x, x, x, x, x, x, x]\n";
  for (char c = 'b'; c < 'k'; ++c) {
    const char before = static_cast<char>(c - 1);
    aliases += fmt::format("{0}: &{0} [*{1}, *{1}, *{1}, *{1}, *{1}, *{1}, *{1}, *{1}, *{1}]\n", c, before);
  }
  std::string seeds = "[0";
  for (int i = 1; i < 1000; ++i) seeds += fmt::format(",{}", i);
  seeds += "]";
  std::string many = "jobs:\n";
  for (int i = 0; i < 100'001; ++i) many += "- {prompt: x}\n";
  struct Case {
    std::string yaml, first;
  };
  for (const Case& c : std::vector<Case>{
           {aliases + "jobs: *j\n", "unknown key a"},
           {"jobs: &j [*j]\n", "jobs.yaml:1"},
           {"jobs:\n- {prompt: &p [x, *p]}\n", "jobs.yaml:2"},
           {"jobs: " + std::string(100'000, '[') + "\n", "jobs.yaml:"},
           {"jobs: " + std::string(100'000, '{') + "\n", "jobs.yaml:"},
           {"jobs:\n- {prompt: x, seed: &s " + seeds + ", steps: " + "*s" + "}\n", "more than 100000 jobs"},
           {many, "more than 100000 jobs"},
           {std::string(10 << 20, 'x'), "larger than 4194304 bytes, expected a jobs file"},
           {"jobs: [{prompt: x}]\n# " + std::string(10 << 20, '\0'), "larger than 4194304 bytes"},
       }) {
    SCOPED_TRACE(c.yaml.substr(0, 60));
    const auto begun = std::chrono::steady_clock::now();
    EXPECT_THAT(refusal_of(c.yaml), HasSubstr(c.first));
    EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(30));
  }
}

TEST(JobsFile, SlugsAreNamesThatEveryFileSystemTakes) {
  EXPECT_EQ(slug("A red circle, moving right!"), "a-red-circle-moving-right");
  EXPECT_EQ(slug("../../etc/passwd"), "etc-passwd");
  EXPECT_EQ(slug("?!"), "clip");
  EXPECT_EQ(slug("ein größeres Boot"), "ein-größeres-boot");
  EXPECT_LE(slug(std::string(500, 'a')).size(), 48);
  EXPECT_EQ(slug("one two three four five six seven eight nine ten eleven twelve"),
            "one-two-three-four-five-six-seven-eight-nine-ten");
}

}  // namespace
}  // namespace bitreel::test
