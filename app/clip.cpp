#include "app/clip.h"

#include <chrono>

#include "app/attention_plan.h"
#include "app/interrupt.h"
#include "app/peak_memory.h"

namespace bitreel {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begun) {
  return std::chrono::duration<double>(Clock::now() - begun).count();
}

}  // namespace

std::vector<NamedTensors> encode_all(Pipeline& model, const std::vector<Request>& requests, Console& console,
                                     const std::string& if_interrupted) {
  std::vector<NamedTensors> all;
  console.begin("text", std::ssize(requests));
  for (const Request& request : requests) {
    check_interrupt(if_interrupted);
    all.push_back(model.encode(request));
    console.step(std::ssize(all));
  }
  console.end();
  model.release(Phase::encode);
  return all;
}

ClipRecord run_clip(const Render& render, Console& console, const ClipRun& run) {
  Pipeline& model = *render.model;
  const PeakMemory peak(model.options().device);
  ClipRecord record = record_of(render, run.identity);
  const auto note = [&] {
    record.peak_host_bytes = PeakMemory::host_bytes();
    record.peak_device_bytes = peak.device_bytes();
    record.events = console.warnings();
  };
  std::optional<PlannedAttention> planned;
  AttendReport report = fallback_warnings(console);
  if (run.plan != nullptr) planned.emplace(*run.plan, planned_options(render, *run.plan, console, report), run.before);
  const auto finish_phase = [&](const std::string& name, Phase phase, Clock::time_point begun) {
    record.seconds[name] = seconds_since(begun);
    note();
    if (!run.keep.contains(phase)) model.release(phase);
  };

  NamedTensors embeddings;
  if (run.embeddings) {
    embeddings = *run.embeddings;
  } else {
    if (run.name.empty()) console.begin("text");
    const Clock::time_point begun = Clock::now();
    embeddings = model.encode(render.request);
    finish_phase("text", Phase::encode, begun);
    check_interrupt(run.if_interrupted);
  }

  const std::int64_t steps_done = run.from ? run.from->steps_done : 0;
  console.begin(run.name.empty() ? "denoise" : run.name, render.request.steps, steps_done);
  const Clock::time_point denoising = Clock::now();
  Clock::time_point last = denoising;
  const auto record_attention = [&] {
    if (!planned) return;
    record.executed = planned->executed();
    record.attention = attention_record(render, *run.plan, *planned, merged(run.before.ran, report.rows()));
  };
  const auto on_step = [&](const StepEvent& event) {
    record.step_seconds.push_back(seconds_since(last));
    const bool more = event.step.index + 1 < event.step.count;
    if (run.on_step) {
      record_attention();
      run.on_step(event, record);
    }
    if (more) check_interrupt(run.if_interrupted);
    console.count(event.step.count);
    console.step(event.step.index + 1);
    last = Clock::now();
  };
  const NamedTensors latents =
      model.denoise(render.request, embeddings,
                    {.on_step = on_step,
                     .attention_of_step = planned ? StepAttention(std::ref(*planned)) : run.attention,
                     .on_remark = [&](const std::string& remark) { console.warn(remark); },
                     .from = run.from});
  record_attention();
  finish_phase("denoise", Phase::denoise, denoising);
  if (!run.on_denoised) return record;

  const DecodeSink sink = run.on_denoised(latents, record);
  if (!sink.on_frame && !sink.on_image && !sink.on_text) return record;
  const Clock::time_point decoding = Clock::now();
  model.decode(render.request, latents, sink);
  finish_phase("decode", Phase::decode, decoding);
  return record;
}

}  // namespace bitreel
