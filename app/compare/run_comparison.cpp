#include "app/compare/run_comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "app/attention_plan.h"
#include "app/clip.h"
#include "app/compare/baseline_steps.h"
#include "app/compare/clip_facts.h"
#include "app/compare/clip_judge.h"
#include "app/compare/clip_measures.h"
#include "app/compare/comparison_folder.h"
#include "app/compare/prepared_variant.h"
#include "app/compare/report.h"
#include "app/compare/stale_clips.h"
#include "app/encoding_key.h"
#include "app/interrupt.h"
#include "app/record.h"
#include "app/render.h"
#include "pipelines/video/writer.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

class Run {
 public:
  Run(const Comparison& comparison, const fs::path& folder, Console& console)
      : comparison_(comparison),
        folder_(folder),
        console_(console),
        judge_(comparison.prompts_file),
        variants_(prepare_variants(comparison_, folder_)),
        one_model_(std::ranges::all_of(variants_, [this](const PreparedVariant& variant) {
          return variant.render.model == variants_.front().render.model;
        })) {}

  void run() {
    announce();
    encode();
    ordered_json report;
    for (std::size_t prompt = 0; prompt < comparison_.prompts.size(); ++prompt) {
      finish_prompt(prompt);
      report = write_report(comparison_, folder_.root(), described(), facts_);
    }
    folder_.remove_work();
    console_.end();
    console_.say(table_of(report), "done", {{"report", (folder_.root() / "index.html").string()}});
  }

 private:
  void announce() {
    ordered_json fields = {{"prompts", comparison_.prompts.size()}, {"variants", ordered_json::array()}};
    std::string names;
    for (const PreparedVariant& prepared : variants_) {
      fields["variants"].push_back(prepared.name);
      names += (names.empty() ? "" : ", ") + prepared.name;
      for (const std::string& warning : prepared.render.warnings) {
        console_.warn(fmt::format("{}: {}", prepared.name, warning));
      }
    }
    console_.say(
        fmt::format("compare  {} prompts, {} variants: {}", comparison_.prompts.size(), variants_.size(), names),
        "plan", fields);
  }

  [[nodiscard]] Render render_of(const PreparedVariant& prepared, std::size_t prompt) const {
    return prepared.render_of(comparison_, folder_, prompt);
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
      std::map<std::string, NamedTensors>& embeddings = embeddings_[model];
      std::vector<Request> distinct;
      for (const Request& request : requests) {
        if (embeddings.try_emplace(encoding_key(request)).second) distinct.push_back(request);
      }
      const std::vector<NamedTensors> encoded = encode_all(*model, distinct, console_, "nothing was rendered");
      for (std::size_t i = 0; i < encoded.size(); ++i) embeddings[encoding_key(distinct[i])] = encoded[i];
    }
  }

  void finish_prompt(std::size_t prompt) {
    std::vector<bool> there;
    for (const PreparedVariant& prepared : variants_) there.push_back(read_facts(prepared, prompt));
    if (std::ranges::find(there, false) != there.end()) {
      folder_.begin_work();
      for (std::int64_t repeat = 0; repeat < comparison_.repeats; ++repeat) {
        for (std::size_t i = 0; i < variants_.size(); ++i) {
          // The baseline's frames and steps are needed by those that are still to come.
          const bool needed = !there[i] || (i == 0 && !fs::exists(folder_.frames(variants_[0].name, prompt)));
          if (!needed) continue;
          if (repeat == 0) {
            render_clip(variants_[i], prompt);
          } else {
            time_again(variants_[i], prompt);
          }
          if (repeat + 1 < comparison_.repeats) continue;
          const std::string& name = variants_[i].name;
          folder_.write_facts(name, prompt, facts_[name][prompt]);
        }
      }
    }
    put_side_by_side(prompt);
    folder_.remove_work();
  }

  bool read_facts(const PreparedVariant& prepared, std::size_t prompt) {
    const auto facts = folder_.read_facts(prepared.name, prompt, key_of(prepared, prompt));
    if (facts) facts_[prepared.name][prompt] = *facts;
    return facts.has_value();
  }

  // For the console.
  [[nodiscard]] std::string label(const PreparedVariant& prepared, std::size_t prompt) const {
    return fmt::format("{}/{} {}", prompt + 1, comparison_.prompts.size(), prepared.name);
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
            .embeddings = embeddings_.at(render.model.get()).at(encoding_key(render.request)),
            .keep = kept_phases(),
            .name = label(prepared, prompt),
            .if_interrupted = if_interrupted(prompt)};
  }

  void warm_up(const PreparedVariant& prepared, std::size_t prompt) {
    if (!warm_.insert(prepared.name).second) return;
    Render render = render_of(prepared, prompt);
    render.request.steps = std::min<std::int64_t>(2, render.request.steps);
    render.options.steps = render.request.steps;
    render.options.guard.reset();
    const Plan plan = resolve_attention(render, prepared.identity);
    ClipRun run = run_of(prepared, render, prompt);
    run.plan = &plan;
    run.name = fmt::format("warm-up {}", prepared.name);
    run_clip(render, console_, run);
  }

  void render_clip(const PreparedVariant& prepared, std::size_t prompt) {
    warm_up(prepared, prompt);
    const Render render = render_of(prepared, prompt);
    const bool is_baseline = &prepared == variants_.data();
    ordered_json facts = {{"key", key_of(prepared, prompt)}, {"variant", prepared.name}, {"prompt", prompt}};
    const BaselineSteps steps(folder_.baseline_steps(prompt));
    std::vector<double> latent_error;
    ClipRun run = run_of(prepared, render, prompt);
    AttentionTimes attention;
    if (on_cpu(prepared)) run.attention_times = &attention;
    run.on_step = [&](const StepEvent& event, const ClipRecord&) {
      if (is_baseline) {
        steps.keep(event);
      } else if (const std::optional<double> error = steps.relative_l2(event)) {
        latent_error.push_back(*error);
      }
    };
    std::optional<VideoWriter> clip, frames;
    run.on_denoised = [&](const NamedTensors&, const ClipRecord& so_far) {
      DecodeSink sink;
      sink.on_remark = [this](const std::string& remark) { console_.warn_once(remark); };
      sink.on_frame = [&](const Frame& frame) {
        check_interrupt(if_interrupted(prompt));
        if (!clip) {
          clip.emplace(render.options.output, render.video, frame.width, frame.height, provenance(render, so_far));
          frames.emplace(folder_.frames(prepared.name, prompt), VideoOptions{.fps = render.video.fps, .codec = "ffv1"},
                         frame.width, frame.height);
        }
        clip->push(frame);
        frames->push(frame);
      };
      return sink;
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
    const fs::path rendered = folder_.frames(prepared.name, prompt);
    const fs::path baseline = is_baseline ? fs::path() : folder_.frames(variants_.front().name, prompt);
    add_measures(facts, measure_clip(rendered, baseline), folder_, prepared.name, prompt);
    if (const std::optional<bool> right = judge_.all_right(rendered, prompt)) facts["judge"] = *right;
    facts_[prepared.name][prompt] = std::move(facts);
  }

  static bool on_cpu(const PreparedVariant& prepared) { return prepared.render.model->options().device.is_cpu(); }

  // On a GPU the clock waits for every call, so a denoising of its own is timed, of the first prompt alone.
  void time_attention(ordered_json& facts, const PreparedVariant& prepared, const Render& render) const {
    AttentionTimes attention;
    ClipRun run = run_of(prepared, render, 0);
    run.name = fmt::format("attention alone, {}", prepared.name);
    run.attention_times = &attention;
    add_attention(facts, attention, run_clip(render, console_, run));
  }

  // The denoising once more, for its time alone.
  void time_again(const PreparedVariant& prepared, std::size_t prompt) {
    const Render render = render_of(prepared, prompt);
    const ClipRecord record = run_clip(render, console_, run_of(prepared, render, prompt));
    add_times(facts_[prepared.name][prompt], record.step_seconds);
  }

  void put_side_by_side(std::size_t prompt) const {
    std::vector<SideBySideClip> clips;
    for (const PreparedVariant& prepared : variants_) {
      const fs::path frames = folder_.frames(prepared.name, prompt);
      if (!fs::exists(frames)) return;  // an earlier run put them there
      clips.push_back({.name = prepared.name, .frames = frames, .facts = facts_.at(prepared.name).at(prompt)});
    }
    write_side_by_side(clips, comparison_.prompts[prompt], folder_.root(), prompt);
  }

  [[nodiscard]] std::vector<DescribedVariant> described() const {
    std::vector<DescribedVariant> all;
    for (const PreparedVariant& prepared : variants_) {
      all.push_back({.name = prepared.name, .render = &prepared.render, .plan = &prepared.plan});
    }
    return all;
  }

  const Comparison& comparison_;
  ComparisonFolder folder_;
  Console& console_;
  ClipJudge judge_;
  std::vector<PreparedVariant> variants_;
  bool one_model_;
  std::map<const Pipeline*, std::map<std::string, NamedTensors>> embeddings_;  // by encoding_key
  std::set<std::string> warm_;
  ClipFacts facts_;
};

}  // namespace

void run_comparison(const Comparison& comparison, const fs::path& folder, Console& console) {
  ClipsOfComparison own{.variants = {}, .prompts = comparison.prompts.size()};
  for (const Variant& variant : comparison.variants) own.variants.insert(variant.name);
  refuse_stale_clips(folder, own);
  Run(comparison, folder, console).run();
}

}  // namespace bitreel
