#include "app/clip.h"

#include <algorithm>

#include "app/attention_plan.h"
#include "app/interrupt.h"
#include "app/peak_memory.h"
#include "base/wall_clock.h"

namespace bitreel {

std::vector<NamedTensors> encode_all(Pipeline& model, const std::vector<Request>& requests, Console& console,
                                     const std::string& if_interrupted) {
  std::vector<NamedTensors> all;
  all.reserve(requests.size());
  console.begin("text", std::ssize(requests), 0, "prompt");
  for (const Request& request : requests) {
    check_interrupt(if_interrupted);
    all.push_back(model.encode(request));
    console.step(std::ssize(all));
  }
  console.end();
  model.release(Phase::encode);
  return all;
}

struct RunningClip::Work {
  Work(const Render& clip, Console& shown, ClipRun of)
      : render(clip),
        console(shown),
        run(std::move(of)),
        peak(clip.model->options().device),
        record(record_of(clip, run.identity)),
        report(fallback_warnings(shown)) {
    if (run.lanes > 1) record.run["clips_side_by_side"] = run.lanes;
    if (run.plan != nullptr) {
      PlannedAttentionOptions options = planned_options(render, *run.plan, console, report);
      options.times = run.attention_times;
      planned.emplace(*run.plan, std::move(options), run.before);
    }
    if (run.embeddings) embeddings = *run.embeddings;
  }

  void begin_phase() {
    peak = PeakMemory(render.model->options().device);
    begun = WallClock::now();
  }

  void note(const std::string& phase) {
    record.seconds[phase] = seconds_since(begun);
    record.peak_host_bytes = std::max(record.peak_host_bytes, PeakMemory::host_bytes());
    record.peak_device_bytes = std::max(record.peak_device_bytes, peak.device_bytes());
    if (peak.device_bytes() > 0) record.phase_device_bytes[phase] = peak.device_bytes();
    record.events = console.warnings();
  }

  void finish_phase(const std::string& name, Phase phase) {
    note(name);
    if (!run.keep.contains(phase)) render.model->release(phase);
  }

  void record_attention() {
    if (!planned) return;
    record.executed = planned->executed();
    record.attention = attention_record(render, *run.plan, *planned, merged(run.before.ran, report.rows()));
  }

  Denoising denoising() {
    console.begin(run.name.empty() ? "denoise" : run.name, render.request.steps, run.from ? run.from->steps_done : 0);
    begin_phase();
    last = begun;
    // A signal is looked at before a step, once the last one's callbacks have kept what they keep.
    const auto attention_of_step = [this](const DenoisingStep& step) {
      if (!record.step_seconds.empty()) check_interrupt(run.if_interrupted);
      return planned ? (*planned)(step) : run.attention(step);
    };
    const auto on_step = [this](const StepEvent& event) {
      record.step_seconds.push_back(seconds_since(last));
      if (run.on_step) {
        record_attention();
        record.events = console.warnings();
        run.on_step(event, record);
      }
      console.count(event.step.count);
      console.step(event.step.index + 1);
      last = WallClock::now();
    };
    return {.request = render.request,
            .embeddings = embeddings,
            .options = {.on_step = on_step,
                        .attention_of_step = attention_of_step,
                        .on_remark = [this](const std::string& remark) { console.warn(remark); },
                        .from = run.from}};
  }

  const Render& render;
  Console& console;
  ClipRun run;
  PeakMemory peak;
  ClipRecord record;
  AttendReport report;
  std::optional<PlannedAttention> planned = {};
  NamedTensors embeddings = {};
  NamedTensors latents = {};
  WallClock::time_point begun = {}, last = {};  // of the phase, and of its last step's end
};

RunningClip::RunningClip(const Render& render, Console& console, ClipRun run)
    : work_(std::make_unique<Work>(render, console, std::move(run))) {}
RunningClip::~RunningClip() = default;

void RunningClip::encode() {
  Work& work = *work_;
  if (work.run.embeddings) return;
  if (work.run.name.empty()) work.console.begin("text");
  work.begin_phase();
  work.embeddings = work.render.model->encode(work.render.request);
  work.finish_phase("text", Phase::encode);
  check_interrupt(work.run.if_interrupted);
}

void denoise(const std::vector<RunningClip*>& clips) {
  std::vector<Denoising> all;
  all.reserve(clips.size());
  for (RunningClip* clip : clips) all.push_back(clip->work_->denoising());
  Pipeline& model = *clips.front()->work_->render.model;
  std::vector<NamedTensors> latents = model.denoise_together(all);
  for (std::size_t i = 0; i < clips.size(); ++i) {
    RunningClip::Work& work = *clips[i]->work_;
    work.latents = std::move(latents[i]);
    if (all.size() > 1 && model.shares_batch(all[i].request, all.front().request)) {
      work.record.run["clips_in_batch"] = all.size();
    }
    work.record_attention();
    work.note("denoise");
  }
  if (!clips.front()->work_->run.keep.contains(Phase::denoise)) model.release(Phase::denoise);
}

ClipRecord RunningClip::decode(const OnDenoised& on_denoised) {
  Work& work = *work_;
  if (!on_denoised) return work.record;
  const DecodeSink sink = on_denoised(work.latents, work.record);
  if (!sink.on_frame && !sink.on_image && !sink.on_text) return work.record;
  work.begin_phase();
  work.render.model->decode(work.render.request, work.latents, sink);
  work.finish_phase("decode", Phase::decode);
  return work.record;
}

ClipRecord run_clip(const Render& render, Console& console, const ClipRun& run) {
  RunningClip clip(render, console, run);
  clip.encode();
  denoise({&clip});
  return clip.decode(run.on_denoised);
}

}  // namespace bitreel
