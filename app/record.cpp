#include "app/record.h"

#include <ATen/Parallel.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <torch/headeronly/version.h>
#include <unistd.h>

#include <ctime>
#include <map>
#include <string_view>

#include "app/cpu_clock.h"
#include "bitreel/version.h"
#include "pipelines/model/device.h"
#include "pipelines/model/step_graphs.h"

namespace bitreel {
namespace {

using nlohmann::ordered_json;

ordered_json device_json(const Render& render) {
  const bool cpu = render.model->options().device.is_cpu();
  ordered_json device = {{"type", name_of(render.options.device)}, {"name", cpu ? cpu_name() : cuda_device_name()}};
  if (!render.device_note.empty()) device["why_not_cuda"] = render.device_note;
  return device;
}

}  // namespace

ordered_json environment_overrides() {
  std::map<std::string, std::string> overrides;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string name(text.substr(0, text.find('=')));
    if (name.starts_with("BITREEL_") || name == "OMP_NUM_THREADS") overrides[name] = text.substr(name.size() + 1);
  }
  return overrides.empty() ? ordered_json::object() : ordered_json(overrides);
}

ClipRecord record_of(const Render& render, const ModelIdentity& identity) {
  const RunOptions& model = render.model->options();
  const std::string no_graphs =
      render.model->traits().records_steps ? why_no_graphs(model) : "the model does not record its steps";
  return {.model = identity.files,
          .run = {{"device", device_json(render)},
                  {"threads", at::get_num_threads()},
                  {"elementwise", name_of(render.model->elementwise())},
                  {"linear", linear_library(model.linear, model.device, render.model->dtype())},
                  {"cuda_graphs", no_graphs.empty() ? "recorded" : no_graphs},
                  {"offload", name_of(model.offload)},
                  {"environment", environment_overrides()}}};
}

ordered_json provenance(const Render& render, const ClipRecord& record) {
  ordered_json config = to_json(render.options);
  for (const std::string& key : render.unknown) config.erase(key);
  return {{"bitreel_clip", clip_format_version},
          {"bitreel", version},
          {"libtorch", TORCH_VERSION},
          {"config", std::move(config)},
          {"model", {{"class", render.model->checkpoint().pipeline_class()}, {"files", record.model}}},
          {"run", record.run},
          {"attention", record.attention}};
}

ordered_json outcome(const ClipRecord& record) {
  ordered_json json = {{"seconds", record.seconds}, {"peak_memory_bytes", record.peak_host_bytes}};
  if (record.peak_device_bytes > 0) json["peak_device_memory_bytes"] = record.peak_device_bytes;
  if (!record.phase_device_bytes.empty()) json["phase_device_memory_bytes"] = record.phase_device_bytes;
  json["events"] = record.events;
  json["finished"] = fmt::format("{:%FT%TZ}", fmt::gmtime(std::time(nullptr)));
  return json;
}

}  // namespace bitreel
