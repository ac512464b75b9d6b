#include "app/batch/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace bitreel {
namespace {

using namespace std::chrono_literals;

constexpr auto log_line_every = 5s;
constexpr auto terminal_every = 100ms;

double share(std::int64_t part, std::int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

}  // namespace

void BatchProgress::begin(const ClipShown& clip) {
  Running& running =
      running_.insert_or_assign(clip.index, Running{.clip = clip, .steps = StepClock(clip.steps)}).first->second;
  console_.tell("phase", {{"phase", clip.label}, {"job", clip.index}, {"name", clip.name}});
  show(running);
}

void BatchProgress::step(std::size_t index, std::int64_t done, std::int64_t of) {
  Running& running = running_.at(index);
  if (!running.has_step) running.steps.begin_at(done - 1);  // an earlier run's steps are not this one's pace
  running.has_step = true;
  running.steps.count(of);
  running.steps.step(done);
  console_.tell("step", {{"phase", running.clip.label},
                         {"step", done},
                         {"of", of},
                         {"unit", "step"},
                         {"seconds_per_step", running.steps.seconds_a_step()},
                         {"seconds_left", running.steps.seconds_left()},
                         {"job", index},
                         {"name", running.clip.name}});
  show(running);
}

void BatchProgress::end(std::size_t index, ClipEnd how) {
  const auto ended = running_.find(index);
  if (ended == running_.end()) return;
  const double flop = ended->second.clip.flop;
  running_.erase(ended);
  flop_left_ -= flop;
  if (how == ClipEnd::failed) return;
  flop_made_ += flop;
  ++made_;
}

double BatchProgress::seconds_left() const {
  double made = flop_made_, left = flop_left_;
  for (const auto& [index, running] : running_) {
    if (!running.has_step) continue;
    made += running.clip.flop * share(running.steps.done_here(), running.steps.count());
    left -= running.clip.flop * share(running.steps.done(), running.steps.count());
  }
  const double seconds = seconds_since(begun_);
  return made > 0 ? seconds * std::max(left, 0.0) / made : 0;
}

void BatchProgress::show(Running& running) {
  const WallClock::time_point now = WallClock::now();
  const bool last = running.has_step && running.steps.done() == running.steps.count();
  if (console_.rewrites_lines()) {
    if (!last && now - last_shown_ < terminal_every) return;
    last_shown_ = now;
    std::vector<std::string> lines;
    for (const auto& [index, other] : running_) lines.push_back(line_of(other));
    lines.push_back(line_of_all());
    return console_.show(lines);
  }
  if (running.has_step && running.steps.done_here() != 1 && !last && now - running.last_line < log_line_every) return;
  running.last_line = now;
  console_.show({line_of(running)});
}

std::string BatchProgress::line_of(const Running& running) const {
  if (!running.has_step) return fmt::format("[{}]", running.clip.label);
  const StepClock& steps = running.steps;
  return fmt::format("[{}] {}/{}  {:.3g} s/step  {} left", running.clip.label, steps.done(), steps.count(),
                     steps.seconds_a_step(), duration_text(steps.seconds_left()));
}

std::string BatchProgress::line_of_all() const {
  const double left = seconds_left();
  return fmt::format("{} of {} jobs done by this run{}", made_, options_.jobs,
                     left > 0 ? ", about " + duration_text(left) + " left" : "");
}

}  // namespace bitreel
