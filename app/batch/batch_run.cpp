#include "app/batch/batch_run.h"

#include <fmt/format.h>

#include <c10/util/Exception.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <string>

#include "app/batch/embeddings.h"
#include "app/batch/ledger.h"
#include "app/batch/render_task.h"
#include "app/batch/task_book.h"
#include "app/flag_names.h"
#include "app/interrupt.h"
#include "app/model_key.h"
#include "app/render.h"
#include "base/error.h"
#include "base/written_file.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

// The text of whatever ends a task; empty when nothing does. A signal ends the batch.
template <class Action>
std::string error_of(Action&& action) {
  try {
    action();
    return {};
  } catch (const Error& error) {
    return with_flags(error.hint().empty() ? error.what() : fmt::format("{}\n{}", error.what(), error.hint()));
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  } catch (const std::bad_alloc&) {
    return "out of memory\ntry --vae-tiling, a smaller size or fewer frames";
  } catch (const std::exception& error) {
    return error.what();
  }
}

using Indices = std::vector<std::size_t>;  // of tasks

class Batch {
 public:
  Batch(const std::vector<Task>& tasks, ModelPool& models, const BatchOptions& options, Console& console)
      : models_(models),
        options_(options),
        console_(console),
        tasks_(tasks_of(tasks, options.shard)),
        book_(tasks_, {.folder = options.folder, .shard = options.shard}, console) {}

  std::vector<JobResult> run() {
    Indices left = book_.pending();
    std::vector<const Task*> unfinished;
    for (const std::size_t i : left) unfinished.push_back(tasks_[i]);
    remove_leftovers(unfinished, options_.folder);
    try {
      for (int round = 0; round <= options_.retries && !left.empty(); ++round) {
        if (round > 0) std::ranges::for_each(left, [&](std::size_t i) { book_.again(i); });
        for (const Indices& of_one_model : by_model(left)) run_model(of_one_model);
        std::erase_if(left, [&](std::size_t i) { return book_.results()[i].outcome != JobOutcome::failed; });
      }
    } catch (const Interrupted& interrupted) {
      book_.write();
      throw Interrupted{interrupted.signal, book_.outcome_text()};
    }
    book_.write();
    return book_.results();
  }

 private:
  // In the order in which models first come.
  [[nodiscard]] std::vector<Indices> by_model(const Indices& indices) const {
    std::vector<Indices> stretches;
    std::map<std::string, std::size_t> stretch_of;
    for (const std::size_t i : indices) {
      const auto [known, is_new] = stretch_of.emplace(model_key(tasks_[i]->job.options), stretches.size());
      if (is_new) stretches.emplace_back();
      stretches[known->second].push_back(i);
    }
    return stretches;
  }

  void run_model(const Indices& indices) {
    Indices able;
    for (const std::size_t i : indices) {
      if (tasks_[i]->obstacle.empty()) {
        able.push_back(i);
      } else {
        book_.begin(i);
        book_.failed(i, tasks_[i]->obstacle);
      }
    }
    if (able.empty()) return;
    const std::shared_ptr<Pipeline> model = models_.open(tasks_[able.front()]->job.options);
    models_.use(*model);
    std::vector<const Task*> tasks;
    for (const std::size_t i : able) tasks.push_back(tasks_[i]);
    lanes_ = lanes_of(tasks, *model, options_.lanes);
    keep_ = keep_of(tasks, *model);
    if (!lanes_.remark.empty()) console_.warn_once(lanes_.remark);
    if (const std::string how = text_of(lanes_); !how.empty()) {
      console_.say(fmt::format("{} clips of {}, {}", able.size(), model->checkpoint().folder().string(), how), "lanes",
                   {{"model", model->checkpoint().folder().string()},
                    {"clips", able.size()},
                    {"side_by_side", lanes_.count},
                    {"batch_size", lanes_.batch_size}});
    }
    const std::vector<Indices> groups = grouped(able, *model);
    on_lanes(lanes_.count, groups.size(), [&](std::size_t group) {
      check_interrupt("");
      run_group(groups[group], [&] { return requests_after(groups, group); });
      book_.write_when_due();
    });
  }

  // Asked before the model is loaded: what is free later is free of its weights.
  std::set<Phase> keep_of(const std::vector<const Task*>& tasks, const Pipeline& model) {
    std::set<Phase> all = {Phase::encode, Phase::denoise, Phase::decode};
    if (lanes_.count > 1) return all;  // none may go while another lane's clip is in it
    double bytes = 0;
    for (const Task* task : tasks) bytes = std::max(bytes, task->cost.all_bytes());
    return phases_to_keep(model, bytes);
  }

  // Clips that share a batch, in the order in which their groups are begun by the first of each in the file.
  [[nodiscard]] std::vector<Indices> grouped(const Indices& indices, const Pipeline& model) const {
    struct Open {
      std::size_t group;
      Request first;
    };
    std::vector<Indices> groups;
    std::vector<Open> open;  // groups that have room
    for (const std::size_t i : indices) {
      if (lanes_.batch_size == 1) {
        groups.push_back({i});
        continue;
      }
      const Request request = request_of(i);
      auto found = std::ranges::find_if(open, [&](const Open& one) { return model.shares_batch(one.first, request); });
      if (found == open.end()) {
        found = open.insert(open.end(), {.group = groups.size(), .first = request});
        groups.emplace_back();
      }
      Indices& group = groups[found->group];
      group.push_back(i);
      if (group.size() == lanes_.batch_size) open.erase(found);
    }
    return groups;
  }

  void run_group(const Indices& group, const std::function<std::vector<Request>()>& ahead) {
    struct Member {
      std::size_t i;
      TaskBook::Before before;
      std::unique_ptr<ClipOfTask> clip = {};
    };
    std::vector<Member> members;
    for (const std::size_t i : group) members.push_back({.i = i, .before = book_.begin(i)});

    // Those whom an error ends are written down and leave; the others stay.
    const auto each = [&](const std::function<void(Member&)>& work) {
      std::erase_if(members, [&](Member& member) {
        const std::string error = error_of([&] { work(member); });
        if (!error.empty()) book_.failed(member.i, error);
        return !error.empty();
      });
    };
    const auto encode = [&](Member& member) {
      member.clip =
          std::make_unique<ClipOfTask>(*tasks_[member.i], options_.folder, task_run(member.i, member.before, ahead));
      member.clip->encode();
      tell(member.i, member.clip->events());
    };
    each(encode);
    if (members.size() > 1) {
      std::vector<ClipOfTask*> together;
      together.reserve(members.size());
      for (const Member& member : members) together.push_back(member.clip.get());
      const std::string error = error_of([&] { denoise_in_turn(together); });
      if (!error.empty()) {
        book_.warn_once(members.front().i, fmt::format("{} clips go on one by one: {}", members.size(), error));
        for (Member& member : members) member.before.last_begun = tasks_[member.i]->key;  // what it has kept is its own
        each([&](Member& member) {
          member.clip.reset();
          encode(member);
          denoise_in_turn({member.clip.get()});
        });
      }
    } else {
      each([&](Member& member) { denoise_in_turn({member.clip.get()}); });
    }
    each([&](Member& member) {
      member.clip->finish();
      member.clip.reset();
    });
  }

  TaskRun task_run(std::size_t i, const TaskBook::Before& before, const std::function<std::vector<Request>()>& ahead) {
    return {.models = models_,
            .embeddings = embeddings_,
            .last_begun = before.last_begun,
            .pictures = before.pictures,
            .keep = keep_,
            .lanes = lanes_.count,
            .ahead = ahead,
            .on_step = [this, i](std::int64_t done, std::int64_t of) { book_.step(i, done, of); },
            .on_file =
                [this, i](const std::vector<std::string>& events) {
                  tell(i, events);
                  book_.done(i);
                }};
  }

  void tell(std::size_t i, const std::vector<std::string>& events) {
    for (const std::string& event : events) book_.warn_once(i, event);  // what many clips say alike
  }

  // On a GPU one lane denoises while the other decodes and encodes: two denoisings would only wait for each other.
  void denoise_in_turn(const std::vector<ClipOfTask*>& clips) {
    std::unique_lock turn(one_denoises_, std::defer_lock);
    if (clips.front()->runs_on_gpu()) turn.lock();
    denoise(clips);
  }

  [[nodiscard]] Request request_of(std::size_t i) const {
    const GenerateOptions& options = tasks_[i]->job.options;
    return resolve(options, models_.open(options)).request;
  }

  std::vector<Request> requests_after(const std::vector<Indices>& groups, std::size_t group) {
    std::vector<Request> requests;
    for (std::size_t next = group + 1; next < groups.size(); ++next) {
      for (const std::size_t i : groups[next]) {
        if (requests.size() == Embeddings::most) return requests;
        requests.push_back(request_of(i));
      }
    }
    return requests;
  }

  ModelPool& models_;
  const BatchOptions& options_;
  Console& console_;
  std::vector<const Task*> tasks_;
  TaskBook book_;
  Embeddings embeddings_;
  std::mutex one_denoises_;
  Lanes lanes_;  // of the model that is at work
  std::set<Phase> keep_;
};

}  // namespace

std::vector<const Task*> tasks_of(const std::vector<Task>& tasks, Shard shard) {
  std::vector<double> costs;
  costs.reserve(tasks.size());
  for (const Task& task : tasks) costs.push_back(task.cost.flop);
  const std::vector<int> owner = deal(costs, shard.count);
  std::vector<const Task*> own;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    if (owner[i] == shard.number) own.push_back(&tasks[i]);
  }
  return own;
}

Lanes lanes_of(const std::vector<const Task*>& tasks, const Pipeline& model, const LanesAsked& asked) {
  LanesNeed need{.jobs = tasks.size()};
  for (const Task* task : tasks) {
    need.weight_bytes = std::max(need.weight_bytes, task->cost.weight_bytes);
    need.activation_bytes = std::max(need.activation_bytes, task->cost.activation_bytes);
  }
  return choose_lanes(model, need, asked);
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
