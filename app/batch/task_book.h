// What becomes of each task of a batch: in the ledger, in the results, and on the console.
//
//   TaskBook book(tasks, {.folder = "out"}, console);
//   for (const std::size_t i : book.pending()) {
//     const TaskBook::Before before = book.begin(i);
//     book.step(i, 1, 50);
//     book.failed(i, error);                                // or book.done(i): its clip has its name
//   }
//   book.write();                                         // results.json and what goes with it
//
// Tasks are known by their index in `tasks`. Lanes may call at the same time, each for tasks of its own.
// Errors: Error when the folder is another batch's at the moment (folder_lock.h) or the ledger can't be written.
#pragma once

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "app/batch/agenda.h"
#include "app/batch/folder_lock.h"
#include "app/batch/ledger.h"
#include "app/batch/progress.h"
#include "app/batch/render_task.h"
#include "app/batch/results.h"
#include "app/batch/shard.h"
#include "app/console.h"
#include "base/wall_clock.h"

namespace bitreel {

struct TaskBookOptions {
  std::filesystem::path folder;
  Shard shard = {};  // of several: results are left to collect()
};

class TaskBook {
 public:
  TaskBook(const std::vector<const Task*>& tasks, TaskBookOptions options, Console& console);

  // Those that are not done; the others' results are those of the run that rendered them.
  [[nodiscard]] std::vector<std::size_t> pending();

  // What was under its name before it was begun.
  struct Before {
    std::string last_begun;
    NamesPictures pictures = NamesPictures::none;
  };
  Before begin(std::size_t i);
  void again(std::size_t i);  // it failed, and its turn comes once more
  void step(std::size_t i, std::int64_t done, std::int64_t of);
  void done(std::size_t i);
  void failed(std::size_t i, const std::string& error);
  void warn_once(std::size_t i, const std::string& message);

  void write();
  void write_when_due();  // every half minute
  [[nodiscard]] std::string outcome_text();
  [[nodiscard]] const std::vector<JobResult>& results() const { return results_; }  // once no lane is at work

 private:
  struct Row {
    const Task* task;
    std::string label;  // for people
    WallClock::time_point begun = {};
  };

  void end(std::size_t i, JobOutcome outcome, const std::string& error);
  void note(std::size_t i, JobState state);
  void tell(std::size_t i);

  std::mutex one_writes_;
  TaskBookOptions options_;
  Console& console_;
  FolderLock lock_;
  Ledger ledger_;
  History history_;
  std::vector<Row> rows_;
  std::vector<JobResult> results_;
  BatchProgress progress_;
  WallClock::time_point written_ = WallClock::now();
};

// A task's result before anything is known of it.
JobResult result_of(const Task& task);

}  // namespace bitreel
