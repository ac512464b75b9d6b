#include "app/compare/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <optional>

#include "app/cpu_clock.h"
#include "app/reports/html_page.h"
#include "base/readable_json.h"
#include "base/statistics.h"
#include "base/written_file.h"
#include "pipelines/model/device.h"
#include "pipelines/quality/frame_metrics.h"
#include "pipelines/quality/paired_test.h"

namespace bitreel {
namespace {

using nlohmann::ordered_json;
using Values = std::vector<double>;
using Clips = std::vector<const ordered_json*>;

constexpr int format_version = 2;  // of compare.json: docs/documents.md

// Figures of single clips that are summed up over prompts; those of the second list are tested against the baseline's.
constexpr std::array figures = {"psnr", "ssim", "flicker", "motion", "judge", "step_seconds", "clip_seconds"};
constexpr std::array tested = {"flicker", "motion", "judge", "step_seconds", "clip_seconds"};

std::optional<double> figure(const ordered_json& facts, const std::string& name) {
  if (name == "clip_seconds") {
    if (!facts.contains("seconds")) return std::nullopt;
    return facts["seconds"].value("denoise", 0.0) + facts["seconds"].value("decode", 0.0);
  }
  const auto found = facts.find(name);
  if (found == facts.end()) return std::nullopt;
  if (found->is_boolean()) return found->get<bool>() ? 1.0 : 0.0;
  return found->is_number() ? std::optional(found->get<double>()) : std::nullopt;
}

Values figures_of(const Clips& clips, const std::string& name) {
  Values values;
  for (const ordered_json* facts : clips) {
    if (const std::optional<double> value = figure(*facts, name)) values.push_back(*value);
  }
  return values;
}

// baseline: its clips of the same prompts; null for the baseline itself.
ordered_json statistics_of(const Clips& clips, const Clips* baseline) {
  ordered_json statistics = ordered_json::object();
  for (const std::string name : figures) {
    const Values values = figures_of(clips, name);
    if (values.empty()) continue;
    statistics[name] = {{"mean", mean(values)},
                        {"median", median(values)},
                        {"deviation", deviation(values)},
                        {"least", std::ranges::min(values)},
                        {"most", std::ranges::max(values)},
                        {"n", values.size()}};
    if (baseline == nullptr || std::ranges::find(tested, name) == tested.end()) continue;
    const Values theirs = figures_of(*baseline, name);
    if (theirs.size() != values.size()) continue;
    Values differences(values.size());
    std::ranges::transform(values, theirs, differences.begin(), std::minus<>());
    const quality::PairedTest test = quality::wilcoxon(differences);
    statistics[name]["test"] = {{"name", "Wilcoxon signed-rank, two-sided, against the baseline"},
                                {"n", test.n},
                                {"median_difference", test.median_difference},
                                {"p", test.p}};
  }
  return statistics;
}

// Step by step, the mean over prompts; nothing when their steps differ.
Values mean_latent_error(const Clips& clips) {
  Values sum;
  for (const ordered_json* facts : clips) {
    const Values errors = facts->value("latent_error", Values());
    if (sum.empty()) sum.resize(errors.size());
    if (errors.size() != sum.size()) return {};
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += errors[i] / static_cast<double>(clips.size());
  }
  return sum;
}

ordered_json speed_of(const Clips& clips) {
  ordered_json speed = ordered_json::object();
  for (const std::string name :
       {"step_seconds", "attention_seconds", "quantize_seconds", "clip_seconds", "clock_ghz"}) {
    if (const Values values = figures_of(clips, name); !values.empty()) speed[name] = median(values);
  }
  for (const char* phase : {"text", "denoise", "decode"}) {
    Values seconds;
    for (const ordered_json* facts : clips) {
      if (facts->contains("seconds") && (*facts)["seconds"].contains(phase))
        seconds.push_back((*facts)["seconds"][phase]);
    }
    if (!seconds.empty()) speed[fmt::format("{}_seconds", phase)] = median(seconds);
  }
  for (const char* name : {"host_peak_bytes", "device_peak_bytes"}) {
    const Values bytes = figures_of(clips, name);
    if (!bytes.empty()) speed[name] = std::ranges::max(bytes);
  }
  if (speed.contains("clip_seconds") && speed["clip_seconds"] > 0) {
    speed["frames_per_second"] = clips.front()->value("frames", 0.0) / speed["clip_seconds"].get<double>();
  }
  return speed;
}

Clips clips_of(const ClipFacts& facts, const std::string& name, std::size_t count) {
  Clips clips;
  for (std::size_t i = 0; i < count; ++i) clips.push_back(&facts.at(name).at(i));
  return clips;
}

// Prompts from the first on of which every variant has its clip.
std::size_t complete_prompts(const std::vector<DescribedVariant>& variants, const ClipFacts& facts, std::size_t all) {
  const auto has = [&](std::size_t prompt) {
    return std::ranges::all_of(variants, [&](const DescribedVariant& variant) {
      const auto clips = facts.find(variant.name);
      return clips != facts.end() && clips->second.contains(prompt);
    });
  };
  std::size_t count = 0;
  while (count < all && has(count)) ++count;
  return count;
}

// What the page shows of one clip; its settings and key are in the facts file.
ordered_json clip_entry(const ordered_json& facts) {
  ordered_json entry = facts;
  for (const char* key : {"key", "variant", "prompt", "config", "attention"}) entry.erase(key);
  if (facts.contains("attention") && facts["attention"].is_object()) {
    entry["executed"] = facts["attention"].value("executed", ordered_json::array());
    if (facts["attention"].contains("guard")) entry["guard"] = facts["attention"]["guard"];
  }
  return entry;
}

ordered_json planned_rows(const Plan& plan) {
  ordered_json rows = ordered_json::array();
  for (const PrecisionRow& row : plan.rows()) {
    ordered_json& names = rows.emplace_back(ordered_json::array());
    for (const Precision precision : row) names.push_back(name_of(precision));
  }
  return rows;
}

ordered_json variant_entry(const DescribedVariant& variant, const Clips& clips, const Clips* baseline) {
  ordered_json entry = {{"name", variant.name}};
  if (variant.plan != nullptr) {
    entry["attention"] = variant.render->options.attention;
    entry["plan"] = variant.plan->hash();
    entry["shares"] = clips.front()->value("executed_shares", shares_text(*variant.plan));
    entry["planned"] = planned_rows(*variant.plan);
  }
  entry["statistics"] = statistics_of(clips, baseline);
  entry["speed"] = speed_of(clips);
  if (baseline == nullptr) {  // against itself
    entry["psnr"] = quality::highest_psnr;
    entry["ssim"] = 1;
  }
  for (const char* name : {"psnr", "ssim", "step_seconds"}) {
    if (entry["statistics"].contains(name)) entry[name] = entry["statistics"][name]["mean"];
  }
  if (const Values errors = mean_latent_error(clips); !errors.empty()) entry["latent_error"] = errors;
  for (const ordered_json* facts : clips) entry["prompts"].push_back(clip_entry(*facts));
  return entry;
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  return fmt::format("{:04}-{:02}-{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
}

std::string device_of(const DescribedVariant& variant) {
  if (variant.render == nullptr) return {};
  return variant.render->options.device == DeviceChoice::cuda ? cuda_device_name() : cpu_name();
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string clips_csv(const Comparison& comparison, const ordered_json& report) {
  std::string text =
      "variant,prompt_index,prompt,seed,video,frames,psnr,ssim,worst_frame,flicker,motion,judge,"
      "latent_error,step_seconds,attention_seconds,quantize_seconds,clip_seconds\n";
  for (const auto& variant : report["variants"]) {
    for (std::size_t i = 0; i < variant["prompts"].size(); ++i) {
      const ordered_json& clip = variant["prompts"][i];
      const auto number = [&](const std::string& name) {
        const std::optional<double> value = figure(clip, name);
        return value ? fmt::format("{:.6g}", *value) : std::string();
      };
      const Values errors = clip.value("latent_error", Values());
      text += fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n",
                          csv_field(variant["name"].get<std::string>()), i, csv_field(comparison.prompts[i]),
                          i < comparison.seeds.size() ? std::to_string(comparison.seeds[i]) : "",
                          csv_field(clip.value("video", "")), number("frames"), number("psnr"), number("ssim"),
                          number("worst_frame"), number("flicker"), number("motion"), number("judge"),
                          errors.empty() ? "" : fmt::format("{:.6g}", errors.back()), number("step_seconds"),
                          number("attention_seconds"), number("quantize_seconds"), number("clip_seconds"));
    }
  }
  return text;
}

}  // namespace

ordered_json write_report(const Comparison& comparison, const std::filesystem::path& folder,
                          const std::vector<DescribedVariant>& variants, const ClipFacts& facts) {
  const std::size_t count = complete_prompts(variants, facts, comparison.prompts.size());
  const Clips baseline = clips_of(facts, variants.front().name, count);
  const DescribedVariant& first = variants.front();
  ordered_json report = {{"bitreel_comparison", format_version}, {"created", today()}};
  if (first.render != nullptr) {
    report["model"] = first.render->model->checkpoint().folder().filename().string();
    report["device"] = device_of(first);
    report["timesteps"] = first.render->model->timesteps(first.render->request);
    report["first_seed"] = comparison.seeds.front();
    report["seeds"] = comparison.seeds;
    report["repeats"] = comparison.repeats;
    for (const DescribedVariant& variant : variants) report["config"][variant.name] = to_json(variant.render->options);
  }
  report["baseline"] = first.name;
  report["prompts"] =
      std::vector(comparison.prompts.begin(), comparison.prompts.begin() + static_cast<std::ptrdiff_t>(count));
  for (const char* key : {"fps", "width", "height"}) report[key] = baseline.front()->value(key, ordered_json());
  report["frames"] = ordered_json::array();
  for (const ordered_json* clip : baseline) report["frames"].push_back(clip->value("frames", 0));
  for (std::size_t i = 0; i < count; ++i) {
    ordered_json& together = report["side_by_side"].emplace_back(ordered_json::object());
    for (const auto& [what, extension] : {std::pair{"video", "mp4"}, {"sheet", "jpg"}}) {
      const std::string name = fmt::format("side-by-side/clip-{:03}.{}", i, extension);
      if (std::filesystem::exists(folder / name)) together[what] = name;
    }
  }
  report["variants"] = ordered_json::array();
  for (const DescribedVariant& variant : variants) {
    const Clips clips = clips_of(facts, variant.name, count);
    report["variants"].push_back(variant_entry(variant, clips, variant.name == first.name ? nullptr : &baseline));
  }
  write_whole(folder / "compare.json", readable_json(report));
  write_whole(folder / "compare.csv", clips_csv(comparison, report));
  write_whole(folder / "index.html", html_page(embedded::compare_html, {{"compare.js", embedded::compare_js}}, report));
  return report;
}

std::string table_of(const ordered_json& report) {
  std::string text =
      "| variant | cells | s/step | faster | latent error | PSNR dB | SSIM |\n|---|---|---:|---:|---:|---:|---:|\n";
  const auto number = [](const ordered_json& of, const char* key, int digits) {
    return of.contains(key) ? fmt::format("{:.{}f}", of[key].get<double>(), digits) : std::string("-");
  };
  for (const auto& v : report["variants"]) {
    const bool timed = v.contains("step_seconds");
    const double full = timed ? report["variants"][0]["step_seconds"].get<double>() : 0;
    text += fmt::format(
        "| {} | {} | {} | {} | {} | {} | {} |\n", v["name"].get<std::string>(), v.value("shares", "-"),
        number(v, "step_seconds", 3), timed ? fmt::format("{:.2f}x", full / v["step_seconds"].get<double>()) : "-",
        v.contains("latent_error") ? fmt::format("{:.4f}", v["latent_error"].back().get<double>()) : "-",
        number(v, "psnr", 2), number(v, "ssim", 4));
  }
  return text;
}

}  // namespace bitreel
