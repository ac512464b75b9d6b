#include "app/commands/info_system.h"

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/crypto.h>
#include <sys/utsname.h>
#include <torch/headeronly/version.h>
#include <utf8proc.h>

#include <CLI/Version.hpp>
#include <fstream>
#include <opencv2/core/utility.hpp>
#include <vector>

#include "app/assets.h"
#include "app/console.h"
#include "app/cpu_clock.h"
#include "app/gpu_clock.h"
#include "app/record.h"
#include "attention/attention.h"
#include "base/cpu_features.h"
#include "base/error.h"
#include "bitreel/version.h"
#include "pipelines/model/device.h"
#include "pipelines/model/machine_memory.h"
#include "pipelines/video/codecs.h"
#include "pipelines/video/libav.h"

namespace bitreel {
namespace {

std::string line(std::string_view what, const std::string& text) {
  return fmt::format("  {:<12} {}\n", what, text);
}

// "Debian GNU/Linux 12 (bookworm)".
std::string distribution() {
  std::ifstream stream("/etc/os-release");
  for (std::string text; std::getline(stream, text);) {
    constexpr std::string_view key = "PRETTY_NAME=\"";
    if (text.starts_with(key) && text.ends_with('"')) return text.substr(key.size(), text.size() - key.size() - 1);
  }
  return "unknown distribution";
}

std::string kernel() {
  utsname name{};
  if (uname(&name) != 0) return "unknown";
  return fmt::format("{} {} {}", name.sysname, name.release, name.machine);
}

std::string features() {
  const X86Features& has = x86_features();
  std::vector<std::string_view> names;
  if (has.avx2) names.emplace_back("AVX2");
  if (has.avx_vnni) names.emplace_back("AVX-VNNI");
  if (has.avx512) names.emplace_back("AVX512");
  if (has.avx512_vnni) names.emplace_back("AVX512-VNNI");
  if (has.amx_int8) names.emplace_back("AMX-INT8");
  if (has.amx_bf16) names.emplace_back("AMX-BF16");
  return names.empty() ? "none that kernels are written for" : fmt::format("{}", fmt::join(names, " "));
}

std::string gpu() {
  const std::string& obstacle = cuda_obstacle();
  if (!obstacle.empty()) return "none: " + obstacle;
  const at::Device device = resolve_device(DeviceChoice::cuda);
  return fmt::format("{}, {}, driver {}", cuda_device_name(), bytes_text(machine_memory(device).total),
                     GpuClock(device).driver());
}

// Of attention, on any device that is here.
std::string kernels() {
  std::vector<std::string_view> names;
  for (const Backend& backend : backends()) {
    const bool runs = backend.missing(c10::kCPU).empty() || backend.missing(c10::kCUDA).empty();
    if (backend.role == Role::kernel && runs) names.push_back(backend.name);
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string version_of(unsigned packed) {
  return fmt::format("{}.{}.{}", AV_VERSION_MAJOR(packed), AV_VERSION_MINOR(packed), AV_VERSION_MICRO(packed));
}

std::string libraries() {
  return fmt::format(
      "LibTorch {}, OpenCV {}, libavcodec {}, libavformat {}, libswscale {}, OpenSSL {}, utf8proc {}, fmt {}.{}.{}, "
      "nlohmann-json {}.{}.{}, CLI11 {}",
      TORCH_VERSION, cv::getVersionString(), version_of(avcodec_version()), version_of(avformat_version()),
      version_of(swscale_version()), OpenSSL_version(OPENSSL_VERSION_STRING), utf8proc_version(), FMT_VERSION / 10000,
      FMT_VERSION / 100 % 100, FMT_VERSION % 100, NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR,
      NLOHMANN_JSON_VERSION_PATCH, CLI11_VERSION);
}

std::string encoders() {
  std::vector<std::string> all;
  for (const Codec& codec : codecs()) {
    const std::vector<Encoder> there = available_encoders(codec);
    if (codec.encoders.empty()) continue;
    all.push_back(fmt::format("{} {}", codec.name, there.empty() ? "(none)" : fmt::format("({})", there.front().name)));
  }
  return fmt::format("{}", fmt::join(all, ", "));
}

std::string default_model() {
  try {
    return asset("assets/pocket").string();
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace

std::string describe_system() {
  const MachineMemory memory = machine_memory(at::kCPU);
  const nlohmann::ordered_json environment = environment_overrides();
  return fmt::format("bitreel {}\n", version) + line("system", fmt::format("{}, {}", kernel(), distribution())) +
         line("processor", fmt::format("{}, {} threads", cpu_name(), at::get_num_threads())) +
         line("", fmt::format("{}; LibTorch uses {}", features(), at::get_cpu_capability())) +
         line("memory", fmt::format("{}, {} free", bytes_text(memory.total), bytes_text(memory.available))) +
         line("GPU", gpu()) + line("kernels", kernels()) + line("libraries", libraries()) +
         line("encoders", encoders()) + line("default model", default_model()) +
         line("environment", environment.empty()
                                 ? "nothing that changes what runs"
                                 : environment.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace bitreel
