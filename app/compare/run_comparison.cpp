#include "app/compare/run_comparison.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "app/attention_plan.h"
#include "app/clip.h"
#include "app/compare/clip_judge.h"
#include "app/compare/clip_measures.h"
#include "app/compare/report.h"
#include "app/compare/stale_clips.h"
#include "app/cpu_clock.h"
#include "app/files/model_identity.h"
#include "app/gpu_clock.h"
#include "app/interrupt.h"
#include "app/record.h"
#include "app/render.h"
#include "app/reports/side_by_side.h"
#include "attention/attention.h"
#include "base/error.h"
#include "base/median.h"
#include "base/readable_json.h"
#include "base/written_file.h"
#include "pipelines/checkpoint/safetensors.h"
#include "pipelines/video/writer.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

// Settings that decide which model object runs; variants that agree on them share one.
std::string model_key(const ordered_json& config) {
  ordered_json key;
  for (const char* name : {"model", "dtype", "device", "attention_backend", "elementwise", "vae_tiling"}) {
    key[name] = config.value(name, ordered_json());
  }
  return key.dump();
}

struct PreparedVariant {
  Variant variant;
  Render render;  // of the first prompt
  ModelIdentity identity;
  Plan plan;
};

struct OpenModel {
  std::shared_ptr<Pipeline> pipeline;
  ModelIdentity identity;
};

class Run {
 public:
  Run(const Comparison& comparison, fs::path folder, Console& console)
      : comparison_(comparison), folder_(std::move(folder)), console_(console), judge_(comparison.prompts_file) {
    ClipsOfComparison own{.variants = {}, .prompts = comparison_.prompts.size()};
    for (const Variant& variant : comparison_.variants) own.variants.insert(variant.name);
    refuse_stale_clips(folder_, own);
    std::map<std::string, OpenModel> models;
    for (const Variant& variant : comparison_.variants) prepare(variant, models);
    one_model_ = models.size() == 1;
  }

  void run() {
    announce();
    encode();
    ordered_json report;
    for (std::size_t prompt = 0; prompt < comparison_.prompts.size(); ++prompt) {
      finish_prompt(prompt);
      report = write_report(comparison_, folder_, described(), facts_);
    }
    fs::remove_all(work());
    console_.end();
    console_.say(table_of(report), "done", {{"report", (folder_ / "index.html").string()}});
  }

 private:
  [[nodiscard]] fs::path work() const { return folder_ / "work"; }
  [[nodiscard]] fs::path clip_path(const std::string& name, std::size_t prompt) const {
    return folder_ / name / fmt::format("clip-{:03}.mp4", prompt);
  }
  [[nodiscard]] fs::path facts_path(const std::string& name, std::size_t prompt) const {
    return folder_ / name / fmt::format("clip-{:03}.facts.json", prompt);
  }
  [[nodiscard]] fs::path frames_path(const std::string& name, std::size_t prompt) const {
    return work() / fmt::format("{}-{:03}.mkv", name, prompt);
  }
  [[nodiscard]] fs::path step_path(std::size_t prompt, std::int64_t step) const {
    return work() / fmt::format("steps-{:03}", prompt) / fmt::format("{:04}.safetensors", step);
  }

  void prepare(const Variant& variant, std::map<std::string, OpenModel>& models) {
    GenerateOptions options = variant.options;
    options.prompt = comparison_.prompts.front();
    options.seed = comparison_.seeds.front();
    options.output = clip_path(variant.name, 0);
    fs::create_directories(options.output.parent_path());
    OpenModel& model = models[model_key(to_json(options))];
    if (model.pipeline == nullptr) {
      model.pipeline = open_model(options);
      if (model.pipeline->traits().fps == 0)
        throw UsageError(
            fmt::format("compare takes videos, and a {} makes none", model.pipeline->checkpoint().pipeline_class()),
            "bitreel batch makes pictures in several ways side by side");
      model.identity = identify(*model.pipeline);
    }
    Render render = resolve_to_video(options, model.pipeline);
    Plan plan = resolve_attention(render, model.identity);
    variants_.push_back(
        {.variant = variant, .render = std::move(render), .identity = model.identity, .plan = std::move(plan)});
  }

  void announce() {
    ordered_json fields = {{"prompts", comparison_.prompts.size()}, {"variants", ordered_json::array()}};
    std::string names;
    for (const PreparedVariant& prepared : variants_) {
      fields["variants"].push_back(prepared.variant.name);
      names += (names.empty() ? "" : ", ") + prepared.variant.name;
      for (const std::string& warning : prepared.render.warnings) {
        console_.warn(fmt::format("{}: {}", prepared.variant.name, warning));
      }
    }
    console_.say(
        fmt::format("compare  {} prompts, {} variants: {}", comparison_.prompts.size(), variants_.size(), names),
        "plan", fields);
  }

  // The render of one clip.
  [[nodiscard]] Render render_of(const PreparedVariant& prepared, std::size_t prompt) const {
    Render render = prepared.render;
    render.request.prompt = comparison_.prompts[prompt];
    render.request.seed = comparison_.seeds[prompt];
    render.options.prompt = render.request.prompt;
    render.options.seed = render.request.seed;
    render.options.output = clip_path(prepared.variant.name, prompt);
    return render;
  }

  // What a clip follows from, as far as this run can tell; another run of the same settings finds its facts by it.
  [[nodiscard]] std::string key_of(const PreparedVariant& prepared, std::size_t prompt) const {
    ordered_json key = to_json(render_of(prepared, prompt).options);
    key["plan"] = prepared.plan.hash();
    key["weights"] = prepared.identity.files;
    key["repeats"] = comparison_.repeats;
    key["baseline"] = to_json(variants_.front().render.options);
    key.erase("output");
    key["baseline"].erase("output");
    return key.dump();
  }

  void encode() {
    std::map<Pipeline*, std::vector<Request>> wanted;
    for (const PreparedVariant& prepared : variants_) {
      for (std::size_t prompt = 0; prompt < comparison_.prompts.size(); ++prompt) {
        wanted[prepared.render.model.get()].push_back(render_of(prepared, prompt).request);
      }
    }
    for (auto& [model, requests] : wanted) {
      // Prompts of variants that encode alike are encoded once.
      std::vector<Request> distinct;
      std::vector<std::string> keys;
      for (const Request& request : requests) {
        if (const std::string key = text_key(*model, request); std::ranges::find(keys, key) == keys.end()) {
          keys.push_back(key);
          distinct.push_back(request);
        }
      }
      const std::vector<NamedTensors> encoded = encode_all(*model, distinct, console_, "nothing was rendered");
      for (std::size_t i = 0; i < keys.size(); ++i) embeddings_[keys[i]] = encoded[i];
    }
  }

  static std::string text_key(const Pipeline& model, const Request& request) {
    return fmt::format("{} {} {}\n{}", static_cast<const void*>(&model), request.guidance_scale > 1, request.prompt,
                       request.negative_prompt);
  }

  void finish_prompt(std::size_t prompt) {
    std::vector<bool> there;
    for (const PreparedVariant& prepared : variants_) there.push_back(read_facts(prepared, prompt));
    if (std::ranges::find(there, false) != there.end()) {
      fs::create_directories(work());
      for (std::int64_t repeat = 0; repeat < comparison_.repeats; ++repeat) {
        for (std::size_t i = 0; i < variants_.size(); ++i) {
          // The baseline's frames and steps are needed by those that are still to come.
          const bool needed = !there[i] || (i == 0 && !fs::exists(frames_path(variants_[0].variant.name, prompt)));
          if (!needed) continue;
          if (repeat == 0) {
            render_clip(variants_[i], prompt);
          } else {
            time_again(variants_[i], prompt);
          }
          if (repeat + 1 == comparison_.repeats) write_facts(variants_[i], prompt);
        }
      }
    }
    put_side_by_side(prompt);
    fs::remove_all(work());
  }

  bool read_facts(const PreparedVariant& prepared, std::size_t prompt) {
    const std::string& name = prepared.variant.name;
    std::ifstream in(facts_path(name, prompt));
    const ordered_json facts = ordered_json::parse(in, nullptr, /*allow_exceptions=*/false);
    if (!facts.is_object() || facts.value("key", "") != key_of(prepared, prompt)) return false;
    if (!fs::exists(clip_path(name, prompt))) return false;
    facts_[name][prompt] = facts;
    return true;
  }

  void write_facts(const PreparedVariant& prepared, std::size_t prompt) {
    const ordered_json& facts = facts_[prepared.variant.name][prompt];
    write_whole(facts_path(prepared.variant.name, prompt), readable_json(facts));
  }

  // For the console.
  [[nodiscard]] std::string label(const PreparedVariant& prepared, std::size_t prompt) const {
    return fmt::format("{}/{} {}", prompt + 1, comparison_.prompts.size(), prepared.variant.name);
  }

  [[nodiscard]] std::string if_interrupted(std::size_t prompt) const {
    return prompt == 0 ? "no prompt is complete; the same command goes on from here"
                       : fmt::format(
                             "the report holds the {} of {} prompts that are complete; the same command goes on "
                             "from here",
                             prompt, comparison_.prompts.size());
  }

  [[nodiscard]] std::set<Phase> kept_phases() const {
    return one_model_ ? std::set<Phase>{Phase::denoise, Phase::decode} : std::set<Phase>{};
  }

  ClipRun run_of(const PreparedVariant& prepared, const Render& render, std::size_t prompt) const {
    return {.identity = prepared.identity,
            .plan = &prepared.plan,
            .embeddings = embeddings_.at(text_key(*render.model, render.request)),
            .keep = kept_phases(),
            .name = label(prepared, prompt),
            .if_interrupted = if_interrupted(prompt)};
  }

  void warm_up(const PreparedVariant& prepared, std::size_t prompt) {
    if (!warm_.insert(prepared.variant.name).second) return;
    Render render = render_of(prepared, prompt);
    render.request.steps = std::min<std::int64_t>(2, render.request.steps);
    render.options.steps = render.request.steps;
    render.options.guard.reset();
    const Plan plan = resolve_attention(render, prepared.identity);
    ClipRun run = run_of(prepared, render, prompt);
    run.plan = &plan;
    run.name = fmt::format("warm-up {}", prepared.variant.name);
    run_clip(render, console_, run);
  }

  void render_clip(const PreparedVariant& prepared, std::size_t prompt) {
    warm_up(prepared, prompt);
    const Render render = render_of(prepared, prompt);
    const bool is_baseline = &prepared == variants_.data();
    ordered_json facts = {{"key", key_of(prepared, prompt)}, {"variant", prepared.variant.name}, {"prompt", prompt}};
    std::vector<double> latent_error;
    ClipRun run = run_of(prepared, render, prompt);
    AttentionTimes attention;
    if (on_cpu(prepared)) run.attention_times = &attention;
    run.on_step = [&](const StepEvent& event, const ClipRecord&) {
      if (is_baseline) {
        keep_step(event, prompt);
      } else if (const std::optional<double> error = step_error(event, prompt)) {
        latent_error.push_back(*error);
      }
    };
    std::optional<VideoWriter> clip, frames;
    run.on_denoised = [&](const NamedTensors&, const ClipRecord& so_far) {
      return DecodeSink{.on_frame = [&](const Frame& frame) {
        check_interrupt(if_interrupted(prompt));
        if (!clip) {
          clip.emplace(render.options.output, render.video, frame.width, frame.height, provenance(render, so_far));
          frames.emplace(frames_path(prepared.variant.name, prompt),
                         VideoOptions{.fps = render.video.fps, .codec = "ffv1"}, frame.width, frame.height);
        }
        clip->push(frame);
        frames->push(frame);
      }};
    };
    const ClipRecord record = run_clip(render, console_, run);
    clip->finish(outcome(record));
    frames->finish();
    add_record(facts, record, render);
    if (on_cpu(prepared)) {
      add_attention(facts, attention, record);
    } else if (prompt == 0) {
      time_attention(facts, prepared, render);
    }
    if (is_baseline) latent_error.assign(record.step_seconds.size(), 0.0);
    facts["latent_error"] = latent_error;
    add_measures(facts, prepared, prompt);
    facts_[prepared.variant.name][prompt] = std::move(facts);
  }

  static bool on_cpu(const PreparedVariant& prepared) { return prepared.render.model->options().device.is_cpu(); }

  // By step, as step_seconds are.
  static void add_attention(ordered_json& facts, const AttentionTimes& attention, const ClipRecord& record) {
    const auto steps = static_cast<double>(record.step_seconds.size());
    facts["attention_seconds"] = attention.seconds / steps;
    if (attention.quantize_seconds > 0) facts["quantize_seconds"] = attention.quantize_seconds / steps;
  }

  // On a GPU the clock waits for every call, so a denoising of its own is timed, of the first prompt alone.
  void time_attention(ordered_json& facts, const PreparedVariant& prepared, const Render& render) const {
    AttentionTimes attention;
    ClipRun run = run_of(prepared, render, 0);
    run.name = fmt::format("attention alone, {}", prepared.variant.name);
    run.attention_times = &attention;
    const ClipRecord record = run_clip(render, console_, run);
    add_attention(facts, attention, record);
  }

  static void add_record(ordered_json& facts, const ClipRecord& record, const Render& render) {
    facts["config"] = to_json(render.options);
    facts["attention"] = record.attention;
    facts["executed_shares"] = shares_text(record.executed);
    facts["seconds"] = record.seconds;
    facts["seconds_per_step"] = record.step_seconds;
    facts["step_seconds"] = median(record.step_seconds);
    facts["clock_ghz"] = render.model->options().device.is_cpu() ? measured_clock_ghz()
                                                                 : GpuClock(render.model->options().device).sm_ghz();
    facts["host_peak_bytes"] = record.peak_host_bytes;
    if (record.peak_device_bytes > 0) facts["device_peak_bytes"] = record.peak_device_bytes;
  }

  void add_measures(ordered_json& facts, const PreparedVariant& prepared, std::size_t prompt) const {
    const std::string& name = prepared.variant.name;
    const std::string& baseline = variants_.front().variant.name;
    const fs::path frames = frames_path(name, prompt);
    const ClipMeasures measures = measure_clip(frames, name == baseline ? fs::path() : frames_path(baseline, prompt));
    facts["video"] = fs::relative(clip_path(name, prompt), folder_).string();
    facts.update(json_of(measures));
    if (!measures.difference.empty()) {
      const fs::path picture = folder_ / name / fmt::format("difference-{:03}.png", prompt);
      write_png(picture, measures.difference);
      facts["difference"] = fs::relative(picture, folder_).string();
    }
    if (const std::optional<bool> right = judge_.all_right(frames, prompt)) facts["judge"] = *right;
  }

  // The denoising once more, for its time alone.
  void time_again(const PreparedVariant& prepared, std::size_t prompt) {
    const Render render = render_of(prepared, prompt);
    const ClipRecord record = run_clip(render, console_, run_of(prepared, render, prompt));
    ordered_json& facts = facts_[prepared.variant.name][prompt];
    std::vector<double> all = facts["repeated_step_seconds"].is_array()
                                  ? facts["repeated_step_seconds"].get<std::vector<double>>()
                                  : facts["seconds_per_step"].get<std::vector<double>>();
    all.insert(all.end(), record.step_seconds.begin(), record.step_seconds.end());
    facts["repeated_step_seconds"] = all;
    facts["step_seconds"] = median(all);
  }

  void keep_step(const StepEvent& event, std::size_t prompt) const {
    const fs::path path = step_path(prompt, event.step.index);
    fs::create_directories(path.parent_path());
    write_safetensors(path, event.latents, {});
  }

  // Nothing where the baseline has no such step: variants may differ in their number.
  [[nodiscard]] std::optional<double> step_error(const StepEvent& event, std::size_t prompt) const {
    if (event.step.count != variants_.front().render.request.steps) return std::nullopt;
    const fs::path path = step_path(prompt, event.step.index);
    if (!fs::exists(path)) return std::nullopt;
    const SafetensorsFile kept = SafetensorsFile::open(path);
    std::vector<at::Tensor> expected, got;
    for (const auto& [name, latents] : event.latents) {
      if (!kept.tensors().contains(name) || kept.tensor(name).sizes() != latents.sizes()) return std::nullopt;
      expected.push_back(kept.tensor(name).to(at::kFloat).flatten());
      got.push_back(latents.cpu().to(at::kFloat).flatten());
    }
    return similarity(at::cat(expected), at::cat(got)).relative_l2;
  }

  void put_side_by_side(std::size_t prompt) const {
    std::vector<SideBySideClip> clips;
    for (const PreparedVariant& prepared : variants_) {
      const fs::path frames = frames_path(prepared.variant.name, prompt);
      if (!fs::exists(frames)) return;  // an earlier run put them there
      clips.push_back(
          {.name = prepared.variant.name, .frames = frames, .facts = facts_.at(prepared.variant.name).at(prompt)});
    }
    write_side_by_side(clips, comparison_.prompts[prompt], folder_, prompt);
  }

  [[nodiscard]] std::vector<DescribedVariant> described() const {
    std::vector<DescribedVariant> all;
    for (const PreparedVariant& prepared : variants_) {
      all.push_back({.name = prepared.variant.name, .render = &prepared.render, .plan = &prepared.plan});
    }
    return all;
  }

  Comparison comparison_;
  fs::path folder_;
  Console& console_;
  ClipJudge judge_;
  std::vector<PreparedVariant> variants_;
  bool one_model_ = true;
  std::map<std::string, NamedTensors> embeddings_;
  std::set<std::string> warm_;
  ClipFacts facts_;
};

}  // namespace

void run_comparison(const Comparison& comparison, const fs::path& folder, Console& console) {
  Run(comparison, folder, console).run();
}

}  // namespace bitreel
