#include "app/batch/task_book.h"

#include <fmt/format.h>

#include <utility>

namespace bitreel {
namespace {

std::string ledger_name(Shard shard) {
  return shard.count == 1 ? "ledger.jsonl" : fmt::format("ledger.{}.jsonl", name_of(shard));
}

}  // namespace

JobResult result_of(const Task& task) {
  return {.key = task.key,
          .index = task.job.index,
          .name = task.job.name,
          .output = task.job.options.output.string(),
          .settings = to_json(task.job.options)};
}

TaskBook::TaskBook(const std::vector<const Task*>& tasks, TaskBookOptions options, Console& console)
    : options_(std::move(options)),
      console_(console),
      lock_(FolderLock::take(options_.folder, options_.shard)),
      ledger_(Ledger::open(options_.folder / ledger_name(options_.shard))),
      progress_(console, {.jobs = tasks.size()}) {
  if (!ledger_.repair().empty()) console.warn(ledger_.repair());
  const LedgerLines read = read_ledgers(options_.folder);
  for (const std::string& warning : read.warnings) console.warn(warning);
  for (const LedgerLine& line : read.lines) history_.add(line);
  for (const Task* task : tasks) {
    const std::string label = fmt::format("{}/{} {}", rows_.size() + 1, tasks.size(), task->job.name);
    rows_.push_back({.task = task, .label = label});
    results_.push_back(result_of(*task));
  }
}

std::vector<std::size_t> TaskBook::pending() {
  const std::lock_guard lock(one_writes_);
  std::vector<std::size_t> pending;
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    JobResult& result = results_[i];
    const Task& task = *rows_[i].task;
    result.attempts = history_.attempts(task.key);
    if (is_done(task, options_.folder, history_)) {
      result.outcome = JobOutcome::skipped;
      result.seconds = history_.done(result.output)->seconds;
      remove_kept_work(task, options_.folder);
      continue;
    }
    pending.push_back(i);
    progress_.expect(task.cost.flop);
  }
  console_.say(fmt::format("{} jobs: {} to do, {} done by an earlier run", rows_.size(), pending.size(),
                           rows_.size() - pending.size()),
               "batch", {{"jobs", rows_.size()}, {"to_do", pending.size()}, {"folder", options_.folder.string()}});
  return pending;
}

TaskBook::Before TaskBook::begin(std::size_t i) {
  const std::lock_guard lock(one_writes_);
  Row& row = rows_[i];
  JobResult& result = results_[i];
  const LedgerLine* last = history_.started(result.output);
  Before before{.last_begun = last != nullptr ? last->key : ""};
  if (history_.done(result.output) != nullptr) before.pictures = NamesPictures::of_an_earlier_job;
  result.attempts = history_.attempts(result.key) + 1;
  result.error.clear();
  row.begun = WallClock::now();
  note(i, JobState::started);
  progress_.begin({.index = result.index,
                   .label = row.label,
                   .name = result.name,
                   .flop = row.task->cost.flop,
                   .steps = row.task->job.options.steps.value_or(0)});
  return before;
}

void TaskBook::again(std::size_t i) {
  const std::lock_guard lock(one_writes_);
  progress_.expect(rows_[i].task->cost.flop);
  console_.say(fmt::format("{}: once more", rows_[i].label), "retry", {{"index", results_[i].index}});
}

void TaskBook::step(std::size_t i, std::int64_t done, std::int64_t of) {
  const std::lock_guard lock(one_writes_);
  progress_.step(results_[i].index, done, of);
}

void TaskBook::done(std::size_t i) {
  end(i, JobOutcome::done, "");
}

void TaskBook::failed(std::size_t i, const std::string& error) {
  end(i, JobOutcome::failed, error);
}

void TaskBook::end(std::size_t i, JobOutcome outcome, const std::string& error) {
  const std::lock_guard lock(one_writes_);
  JobResult& result = results_[i];
  result.seconds = seconds_since(rows_[i].begun);
  result.outcome = outcome;
  result.error = error;
  const bool made = outcome == JobOutcome::done;
  note(i, made ? JobState::done : JobState::failed);
  progress_.end(result.index, made ? ClipEnd::made : ClipEnd::failed);
  tell(i);
}

void TaskBook::warn_once(std::size_t i, const std::string& message) {
  const std::lock_guard lock(one_writes_);
  console_.warn_once(message, {{"job", results_[i].index}, {"name", results_[i].name}});
}

void TaskBook::note(std::size_t i, JobState state) {
  const JobResult& result = results_[i];
  const bool done = state == JobState::done;
  history_.add(ledger_.append({.key = result.key,
                               .state = state,
                               .attempt = result.attempts,
                               .output = result.output,
                               .seconds = state == JobState::started ? 0 : result.seconds.value_or(0),
                               .bytes = done ? written_bytes(*rows_[i].task, options_.folder) : 0,
                               .error = result.error}));
}

void TaskBook::tell(std::size_t i) {
  const JobResult& result = results_[i];
  const std::size_t missing = counts_of(results_).missing;
  const double left = progress_.seconds_left();
  std::string text = fmt::format("{} {}  {}", name_of(result.outcome), result.output, duration_text(*result.seconds));
  if (result.outcome == JobOutcome::failed) text += ": " + result.error;
  text += fmt::format("\n{} of {} jobs to go", missing, rows_.size());
  if (left > 0 && missing > 0) text += fmt::format(", about {}", duration_text(left));
  console_.say(text, "job",
               {{"index", result.index},
                {"name", result.name},
                {"key", result.key},
                {"state", name_of(result.outcome)},
                {"output", result.output},
                {"seconds", *result.seconds},
                {"attempts", result.attempts},
                {"error", result.error.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(result.error)},
                {"jobs_left", missing},
                {"seconds_left", left}});
}

std::string TaskBook::outcome_text() {
  const std::lock_guard lock(one_writes_);
  const JobCounts counts = counts_of(results_);
  return fmt::format("{} of {} jobs are done; the same command goes on from there", counts.done + counts.skipped,
                     rows_.size());
}

void TaskBook::write() {
  const std::lock_guard lock(one_writes_);
  if (options_.shard.count == 1) write_results(options_.folder, results_);
  written_ = WallClock::now();
}

void TaskBook::write_when_due() {
  {
    const std::lock_guard lock(one_writes_);
    if (WallClock::now() - written_ < std::chrono::seconds(30)) return;
  }
  write();
}

}  // namespace bitreel
