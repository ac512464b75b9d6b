#include "app/compare/clip_facts.h"

#include <filesystem>

#include "app/cpu_clock.h"
#include "app/gpu_clock.h"
#include "app/reports/side_by_side.h"
#include "base/statistics.h"

namespace bitreel {

using nlohmann::ordered_json;

void add_record(ordered_json& facts, const ClipRecord& record, const Render& render) {
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

void add_attention(ordered_json& facts, const AttentionTimes& attention, const ClipRecord& record) {
  const auto steps = static_cast<double>(record.step_seconds.size());
  facts["attention_seconds"] = attention.seconds / steps;
  if (attention.quantize_seconds > 0) facts["quantize_seconds"] = attention.quantize_seconds / steps;
}

void add_measures(ordered_json& facts, const ClipMeasures& measures, const ComparisonFolder& folder,
                  const std::string& variant, std::size_t prompt) {
  facts["video"] = folder.relative(folder.clip(variant, prompt));
  facts.update(json_of(measures));
  if (measures.difference.empty()) return;
  const std::filesystem::path picture = folder.difference(variant, prompt);
  write_frame(picture, measures.difference);
  facts["difference"] = folder.relative(picture);
}

void add_times(ordered_json& facts, const std::vector<double>& step_seconds) {
  const char* const all_seconds =
      facts.contains("repeated_step_seconds") ? "repeated_step_seconds" : "seconds_per_step";
  auto all = facts.at(all_seconds).get<std::vector<double>>();
  all.insert(all.end(), step_seconds.begin(), step_seconds.end());
  facts["repeated_step_seconds"] = all;
  facts["step_seconds"] = median(all);
}

}  // namespace bitreel
