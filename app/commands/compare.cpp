#include "app/commands/compare.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <numeric>
#include <opencv2/core.hpp>
#include <set>
#include <string_view>

#include "app/attention_plan.h"
#include "app/clip.h"
#include "app/commands/generate.h"
#include "app/console.h"
#include "app/files/prompts_file.h"
#include "app/flags.h"
#include "app/interrupt.h"
#include "app/render.h"
#include "attention/attention.h"
#include "base/error.h"
#include "base/median.h"
#include "base/readable_json.h"
#include "base/written_file.h"
#include "pipelines/quality/frame_metrics.h"
#include "pipelines/video/writer.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr int comparison_format_version = 1;  // of compare.json: docs/documents.md

const std::set<std::string> settled_here = {"prompt", "output", "attention", "save-latents", "no-metadata"};

struct CompareCommand {
  std::unique_ptr<Flags> flags;
  fs::path prompts;
  fs::path output;
  std::vector<std::string> attentions;
  ProgressStyle progress = ProgressStyle::automatic;
};

// One way to attend, and what is known of it so far.
struct Variant {
  std::string attention;
  std::string name;  // of its folder
  Plan plan;
  std::vector<PrecisionRow> executed = {};  // of all prompts
  ordered_json prompts = ordered_json::array();
};

struct Clip {
  std::vector<at::Tensor> latents = {};  // after every step
  std::vector<cv::Mat> frames = {};
  ClipRecord record = {};
};

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// "first-last:3=int8,rest=int4" -> first-last-3-int8-rest-int4; plans/a.yaml -> a.
std::string folder_name(const std::string& attention) {
  std::string name =
      attention.ends_with(".yaml") || attention.ends_with(".yml") ? fs::path(attention).stem().string() : attention;
  std::ranges::replace_if(
      name, [](char c) { return std::string_view(":=,/+ ").find(c) != std::string_view::npos; }, '-');
  return name;
}

std::vector<Variant> variants_of(const CompareCommand& command, const Render& render, const ModelIdentity& identity) {
  std::vector<Variant> variants;
  std::vector<std::string> attentions = command.attentions;
  if (std::ranges::find(attentions, "full") == attentions.end()) attentions.insert(attentions.begin(), "full");
  std::stable_partition(attentions.begin(), attentions.end(),
                        [](const std::string& attention) { return attention == "full"; });
  for (const std::string& attention : attentions) {
    Render changed = render;
    changed.options.attention = attention;
    const std::string name = folder_name(attention);
    if (std::ranges::find(variants, name, &Variant::name) != variants.end()) {
      throw UsageError(fmt::format("--attention {}: another one has the folder {} already", attention, name));
    }
    variants.push_back({.attention = attention, .name = name, .plan = resolve_attention(changed, identity)});
  }
  return variants;
}

// A backend may be for some of the variants only.
void check_backends(const Render& render, const std::vector<Variant>& variants) {
  std::vector<Precision> precisions;
  for (const Variant& variant : variants) {
    const std::vector<Precision> some = variant.plan.precisions();
    precisions.insert(precisions.end(), some.begin(), some.end());
  }
  backends_from(render.options.attention_backend).check_used_by(precisions);
}

// All of a model's latents in one row.
at::Tensor joined(const NamedTensors& latents) {
  std::vector<at::Tensor> flat;
  for (const auto& [name, tensor] : latents) flat.push_back(tensor.flatten());
  return at::cat(flat).cpu();
}

// when_interrupted: what is true of compare.json then.
Clip render_clip(const Render& render, const ModelIdentity& identity, const NamedTensors& embeddings,
                 const Variant& variant, Console& console, const std::string& name,
                 const std::string& when_interrupted) {
  Clip clip;
  const DecodeSink sink = {.on_frame = [&](const Frame& frame) {
    check_interrupt(when_interrupted);
    clip.frames.push_back(cv::Mat(frame.height, frame.width, CV_8UC3, const_cast<std::uint8_t*>(frame.rgb)).clone());
  }};
  clip.record = run_clip(
      render, console,
      {.identity = identity,
       .plan = &variant.plan,
       .embeddings = embeddings,
       .keep = {Phase::denoise, Phase::decode},
       .name = name,
       .if_interrupted = when_interrupted,
       .on_step = [&](const StepEvent& event, const ClipRecord&) { clip.latents.push_back(joined(event.latents)); },
       .on_denoised = [&](const NamedTensors&, const ClipRecord&) { return sink; }});
  return clip;
}

void write_clip(const Clip& clip, const Render& render, const fs::path& path) {
  fs::create_directories(path.parent_path());
  VideoWriter video(path, render.video, clip.frames.front().cols, clip.frames.front().rows,
                    provenance(render, clip.record));
  for (const cv::Mat& frame : clip.frames) video.push({.rgb = frame.data, .width = frame.cols, .height = frame.rows});
  video.finish(outcome(clip.record));
}

ordered_json difference(const Clip& reference, const Clip& clip) {
  std::vector<double> latent_error, psnr, ssim;
  for (std::size_t i = 0; i < clip.latents.size(); ++i) {
    latent_error.push_back(similarity(reference.latents[i], clip.latents[i]).relative_l2);
  }
  for (std::size_t i = 0; i < clip.frames.size(); ++i) {
    const quality::FrameDifference d = quality::frame_difference(reference.frames[i], clip.frames[i]);
    psnr.push_back(d.psnr);
    ssim.push_back(d.ssim);
  }
  return {{"psnr", mean(psnr)},
          {"ssim", mean(ssim)},
          {"step_seconds", median(clip.record.step_seconds)},
          {"latent_error", latent_error}};
}

// The mean over prompts of every figure, latent_error step by step.
ordered_json summary_of(const Variant& variant) {
  ordered_json summary = {
      {"attention", variant.attention}, {"plan", variant.plan.hash()}, {"shares", shares_text(variant.executed)}};
  const auto count = static_cast<double>(variant.prompts.size());
  for (const char* key : {"psnr", "ssim", "step_seconds"}) {
    double sum = 0;
    for (const auto& prompt : variant.prompts) sum += prompt[key].get<double>();
    summary[key] = sum / count;
  }
  std::vector<double> errors(variant.plan.rows().size());
  for (const auto& prompt : variant.prompts) {
    for (std::size_t i = 0; i < errors.size(); ++i) errors[i] += prompt["latent_error"][i].get<double>() / count;
  }
  summary["latent_error"] = errors;
  summary["prompts"] = variant.prompts;
  return summary;
}

// Of the prompts so far.
ordered_json report_of(const Render& render, const std::vector<std::string>& prompts, std::uint64_t first_seed,
                       const std::vector<Variant>& variants) {
  ordered_json report = {{"bitreel_comparison", comparison_format_version},
                         {"model", render.model->checkpoint().folder().filename().string()},
                         {"timesteps", render.model->timesteps(render.request)},
                         {"prompts", prompts},
                         {"first_seed", first_seed},
                         {"variants", ordered_json::array()}};
  for (const Variant& variant : variants) report["variants"].push_back(summary_of(variant));
  return report;
}

std::string table_of(const ordered_json& report) {
  std::string text =
      "| attention | cells | s/step | faster | latent error | PSNR dB | SSIM |\n|---|---|---:|---:|---:|---:|---:|\n";
  const double full = report["variants"][0]["step_seconds"];
  for (const auto& v : report["variants"]) {
    text += fmt::format("| {} | {} | {:.3f} | {:.2f}x | {:.4f} | {:.2f} | {:.4f} |\n",
                        v["attention"].get<std::string>(), v["shares"].get<std::string>(),
                        v["step_seconds"].get<double>(), full / v["step_seconds"].get<double>(),
                        v["latent_error"].back().get<double>(), v["psnr"].get<double>(), v["ssim"].get<double>());
  }
  return text;
}

void compare(const CompareCommand& command) {
  if (command.prompts.empty() || command.output.empty() || command.attentions.empty()) {
    throw UsageError("compare needs prompts, a folder and something to compare",
                     "--prompts FILE --attention int8 --output out/compare");
  }
  const std::vector<std::string> prompts = read_prompts(command.prompts);
  GenerateOptions options;
  command.flags->apply(options);
  options.prompt = prompts.front();
  options.output = command.output / "full" / "clip.mp4";
  const std::uint64_t first_seed = options.seed.value_or(0);  // prompt i gets seed first_seed + i
  options.seed = first_seed;
  std::error_code failed;
  fs::create_directories(command.output / "full", failed);
  if (failed) throw Error(fmt::format("{} can't be made: {}", command.output.string(), failed.message()));
  check_can_write(command.output / "compare.json");
  Render render = resolve_to_video(options);
  const ModelIdentity identity = identify(*render.model);
  std::vector<Variant> variants = variants_of(command, render, identity);
  check_backends(render, variants);

  watch_interrupts();
  Console console(command.progress);
  std::vector<Request> requests(prompts.size(), render.request);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    requests[i].prompt = prompts[i];
    requests[i].seed = first_seed + i;
  }
  const std::vector<NamedTensors> embeddings =
      encode_all(*render.model, requests, console, "no prompt is complete, compare.json was not written");
  ordered_json report;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    render.request = requests[i];
    render.options.prompt = render.request.prompt;
    render.options.seed = render.request.seed;
    const std::string kept =
        i == 0 ? "no prompt is complete, compare.json was not written"
               : fmt::format("compare.json holds the {} of {} prompts that are complete", i, prompts.size());
    std::optional<Clip> full;
    for (Variant& variant : variants) {
      render.options.attention = variant.attention;
      const std::string name = fmt::format("{}/{} {}", i + 1, prompts.size(), variant.name);
      Clip clip = render_clip(render, identity, embeddings[i], variant, console, name, kept);
      write_clip(clip, render, command.output / variant.name / fmt::format("clip-{:03}.mp4", i));
      variant.executed.insert(variant.executed.end(), clip.record.executed.begin(), clip.record.executed.end());
      variant.prompts.push_back(difference(full ? *full : clip, clip));
      if (!full) full = std::move(clip);
    }
    report = report_of(render, {prompts.begin(), prompts.begin() + static_cast<std::ptrdiff_t>(i) + 1}, first_seed,
                       variants);
    write_whole(command.output / "compare.json", readable_json(report));
  }
  console.end();
  console.say(table_of(report), "done", {{"report", (command.output / "compare.json").string()}});
}

}  // namespace

void add_compare(CLI::App& app) {
  CLI::App* command = app.add_subcommand("compare", "The same clips at several precisions, against full precision");
  auto state = std::make_shared<CompareCommand>();
  command->add_option("--prompts", state->prompts, "JSON list of prompts, or text with one a line")->type_name("FILE");
  command->add_option("--attention", state->attentions, "A precision, a one-line plan or a plan file; may be repeated")
      ->type_name("PLAN");
  command->add_option("--output,-o", state->output, "The folder for clips and compare.json")->type_name("DIR");
  state->flags =
      std::make_unique<Flags>(*command, [](const Setting& setting) { return !settled_here.contains(setting.name); });
  add_progress_flag(*command, state->progress);
  command->callback([state] { compare(*state); });
}

}  // namespace bitreel
