#include "app/batch/batch_run.h"

#include <fmt/format.h>

#include <c10/util/Exception.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <new>
#include <string>

#include "app/batch/embeddings.h"
#include "app/batch/folder_lock.h"
#include "app/batch/ledger.h"
#include "app/batch/render_task.h"
#include "app/interrupt.h"
#include "app/render.h"
#include "base/error.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begun) {
  return std::chrono::duration<double>(Clock::now() - begun).count();
}

JobResult result_of(const Task& task) {
  return {.key = task.key,
          .index = task.job.index,
          .name = task.job.name,
          .output = task.job.options.output.string(),
          .settings = to_json(task.job.options)};
}

void make_folder(const fs::path& folder) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) throw Error(fmt::format("{} can't be made: {}", folder.string(), failed.message()));
}

// All that a model is opened with (ModelPool::open): tasks that share it have the same.
std::string model_of(const Task& task) {
  const GenerateOptions& options = task.job.options;
  std::string text;
  for (const char* name : {"model", "dtype", "device", "attention-backend", "elementwise", "vae-tiling"}) {
    text += setting(name).get(options).dump();
  }
  return text;
}

class Batch {
 public:
  Batch(const std::vector<Task>& tasks, ModelPool& models, const BatchOptions& options, Console& console)
      : models_(models),
        options_(options),
        console_(console),
        lock_(FolderLock::take(options.folder, options.shard)),
        ledger_(Ledger::open(options.folder / ledger_name(options.shard))),
        tasks_(tasks_of(tasks, options.shard)) {
    if (!ledger_.repair().empty()) console.warn(ledger_.repair());
    const LedgerLines read = read_ledgers(options.folder);
    for (const std::string& warning : read.warnings) console.warn(warning);
    for (const LedgerLine& line : read.lines) history_.add(line);
    for (const Task* task : tasks_) results_.push_back(result_of(*task));
  }

  std::vector<JobResult> run() {
    std::vector<std::size_t> left = pending();
    std::vector<const Task*> unfinished;
    for (const std::size_t i : left) unfinished.push_back(tasks_[i]);
    remove_leftovers(unfinished, options_.folder);
    for (const Task* task : unfinished) flop_left_ += task->cost.flop;
    console_.say(fmt::format("{} jobs: {} to do, {} done by an earlier run", tasks_.size(), left.size(),
                             tasks_.size() - left.size()),
                 "batch", {{"jobs", tasks_.size()}, {"to_do", left.size()}, {"folder", options_.folder.string()}});
    try {
      for (int round = 0; round <= options_.retries && !left.empty(); ++round) left = run_round(left, round);
    } catch (const Interrupted&) {
      write();
      throw;
    }
    write();
    return results_;
  }

 private:
  static std::string ledger_name(Shard shard) {
    return shard.count == 1 ? "ledger.jsonl" : fmt::format("ledger.{}.jsonl", name_of(shard));
  }

  // In the order in which they run; the others' results are those of the run that rendered them.
  std::vector<std::size_t> pending() {
    std::vector<std::size_t> pending;
    std::map<std::string, std::size_t> model_order;
    std::vector<std::size_t> model(tasks_.size());
    for (std::size_t i = 0; i < tasks_.size(); ++i) {
      JobResult& result = results_[i];
      result.attempts = history_.attempts(tasks_[i]->key);
      if (is_done(*tasks_[i], options_.folder, history_)) {
        result.outcome = JobOutcome::skipped;
        result.seconds = history_.done(result.output)->seconds;
        remove_kept_work(*tasks_[i], options_.folder);
        continue;
      }
      model[i] = model_order.emplace(model_of(*tasks_[i]), model_order.size()).first->second;
      pending.push_back(i);
    }
    std::ranges::stable_sort(pending, {}, [&](std::size_t i) { return model[i]; });
    return pending;
  }

  // Returns those that failed.
  std::vector<std::size_t> run_round(const std::vector<std::size_t>& queue, int round) {
    std::vector<std::size_t> failed;
    for (std::size_t place = 0; place < queue.size(); ++place) {
      check_interrupt(outcome_text());
      const std::size_t i = queue[place];
      if (round > 0) {
        console_.say(fmt::format("{}: once more", label(i)), "retry", {{"index", results_[i].index}});
      }
      run_task(i, [&] { return requests_after(queue, place); });
      if (results_[i].outcome == JobOutcome::failed) failed.push_back(i);
      if (seconds_since(written_) > 30) write();
    }
    return failed;
  }

  void run_task(std::size_t i, const std::function<std::vector<Request>()>& ahead) {
    const Task& task = *tasks_[i];
    JobResult& result = results_[i];
    const LedgerLine* last = history_.started(result.output);
    const std::string last_begun = last != nullptr ? last->key : "";
    result.attempts = history_.attempts(task.key) + 1;
    result.error.clear();
    const auto note = [&](JobState state, const std::string& error) {
      history_.add(ledger_.append({.key = task.key,
                                   .state = state,
                                   .attempt = result.attempts,
                                   .output = result.output,
                                   .seconds = result.seconds.value_or(0),
                                   .bytes = state == JobState::done ? written_bytes(task, options_.folder) : 0,
                                   .error = error}));
    };
    const Clock::time_point begun = Clock::now();
    note(JobState::started, {});
    console_.begin(label(i), task.job.options.steps.value_or(0));
    const auto finish = [&] {
      result.seconds = seconds_since(begun);
      result.outcome = JobOutcome::done;
      note(JobState::done, {});
    };
    const std::string error = error_of([&] {
      const std::vector<std::string> warnings = render_task(task, options_.folder,
                                                            {.models = models_,
                                                             .embeddings = embeddings_,
                                                             .history = history_,
                                                             .last_begun = last_begun,
                                                             .keep = keep_of(task),
                                                             .ahead = ahead,
                                                             .on_step =
                                                                 [&](std::int64_t done, std::int64_t of) {
                                                                   console_.count(of);
                                                                   console_.step(done);
                                                                 },
                                                             .on_file = finish});
      for (const std::string& warning : warnings) console_.warn_once(warning);  // what many clips say alike
    });
    console_.end();
    if (!error.empty()) {
      result.seconds = seconds_since(begun);
      result.outcome = JobOutcome::failed;
      result.error = error;
      note(JobState::failed, error);
    }
    tell(task, result);
  }

  // The text of whatever ends a task; empty when it is rendered. A signal ends the batch.
  template <class Action>
  static std::string error_of(Action&& action) {
    try {
      action();
      return {};
    } catch (const Error& error) {
      return error.hint().empty() ? error.what() : fmt::format("{}\n{}", error.what(), error.hint());
    } catch (const c10::Error& error) {
      return error.what_without_backtrace();
    } catch (const std::bad_alloc&) {
      return "out of memory\ntry vae_tiling, a smaller size or fewer frames";
    } catch (const std::exception& error) {
      return error.what();
    }
  }

  // Asked before the model is loaded, once: what is free later is free of its weights.
  std::set<Phase> keep_of(const Task& task) {
    if (!task.obstacle.empty()) return {};
    const std::string model = model_of(task);
    if (const auto known = keep_.find(model); known != keep_.end()) return known->second;
    double bytes = 0;
    for (const Task* other : tasks_) {
      if (model_of(*other) == model) bytes = std::max(bytes, other->cost.all_bytes);
    }
    return keep_[model] = phases_to_keep(*models_.open(task.job.options), bytes);
  }

  std::vector<Request> requests_after(const std::vector<std::size_t>& queue, std::size_t place) {
    std::vector<Request> requests;
    const std::string model = model_of(*tasks_[queue[place]]);
    for (std::size_t next = place + 1; next < queue.size() && requests.size() < Embeddings::most; ++next) {
      const Task& task = *tasks_[queue[next]];
      if (model_of(task) != model) break;
      if (!task.obstacle.empty()) continue;
      requests.push_back(resolve(task.job.options, models_.open(task.job.options)).request);
    }
    return requests;
  }

  [[nodiscard]] std::string label(std::size_t i) const {
    return fmt::format("{}/{} {}", i + 1, tasks_.size(), results_[i].name);
  }

  void tell(const Task& task, const JobResult& result) {
    const double flop = task.cost.flop;
    flop_left_ -= flop;
    if (result.outcome == JobOutcome::done) {
      flop_done_ += flop;
      seconds_done_ += *result.seconds;
    }
    const JobCounts counts = counts_of(results_);
    const double left = flop_done_ > 0 ? seconds_done_ * std::max(flop_left_, 0.0) / flop_done_ : 0;
    std::string text = fmt::format("{} {}  {}", name_of(result.outcome), result.output, duration_text(*result.seconds));
    if (result.outcome == JobOutcome::failed) text += ": " + result.error;
    text += fmt::format("\n{} of {} jobs to go", counts.missing, results_.size());
    if (flop_done_ > 0 && counts.missing > 0) text += fmt::format(", about {}", duration_text(left));
    console_.say(text, "job",
                 {{"index", result.index},
                  {"name", result.name},
                  {"key", result.key},
                  {"state", name_of(result.outcome)},
                  {"output", result.output},
                  {"seconds", *result.seconds},
                  {"attempts", result.attempts},
                  {"error", result.error.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(result.error)},
                  {"jobs_left", counts.missing},
                  {"seconds_left", left}});
  }

  [[nodiscard]] std::string outcome_text() const {
    const JobCounts counts = counts_of(results_);
    return fmt::format("{} of {} jobs are done; the same command goes on from there", counts.done + counts.skipped,
                       results_.size());
  }

  void write() {
    if (options_.shard.count == 1) write_results(options_.folder, results_);
    written_ = Clock::now();
  }

  ModelPool& models_;
  const BatchOptions& options_;
  Console& console_;
  FolderLock lock_;
  Ledger ledger_;
  std::vector<const Task*> tasks_;
  std::vector<JobResult> results_;
  History history_;
  Embeddings embeddings_;
  std::map<std::string, std::set<Phase>> keep_;
  double flop_left_ = 0, flop_done_ = 0, seconds_done_ = 0;
  Clock::time_point written_ = Clock::now();
};

}  // namespace

std::vector<const Task*> tasks_of(const std::vector<Task>& tasks, Shard shard) {
  std::vector<double> costs;
  for (const Task& task : tasks) costs.push_back(task.cost.flop);
  const std::vector<int> owner = deal(costs, shard.count);
  std::vector<const Task*> own;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    if (owner[i] == shard.number) own.push_back(&tasks[i]);
  }
  return own;
}

std::vector<JobResult> run_batch(const std::vector<Task>& tasks, ModelPool& models, const BatchOptions& options,
                                 Console& console) {
  make_folder(options.folder);
  return Batch(tasks, models, options, console).run();
}

std::vector<JobResult> collect(const std::vector<Task>& tasks, const fs::path& folder, Console& console) {
  const LedgerLines read = read_ledgers(folder);
  for (const std::string& warning : read.warnings) console.warn(warning);
  const History history(read.lines);
  std::vector<JobResult> results;
  for (const Task& task : tasks) {
    JobResult& result = results.emplace_back(result_of(task));
    result.attempts = history.attempts(task.key);
    if (is_done(task, folder, history)) {
      result.outcome = JobOutcome::done;
      result.seconds = history.done(result.output)->seconds;
    } else if (const LedgerLine* failed = history.failed(task.key)) {
      result.outcome = JobOutcome::failed;
      result.seconds = failed->seconds;
      result.error = failed->error;
    }
  }
  return results;
}

}  // namespace bitreel
