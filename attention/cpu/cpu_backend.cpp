#include "attention/cpu/cpu_backend.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "attention/cpu/call_parts.h"
#include "attention/cpu/kernels.h"
#include "attention/cpu/share_out.h"
#include "base/cpu_features.h"

namespace bitreel {
namespace {

using namespace cpu;

std::string refusal(const AttendCall& call) {
  if (!call.recipe) return "it only does quantized attention";
  if (std::string common = common_refusal(call); !common.empty()) return common;
  if (call.recipe->pv != PvFormat::int8) return "its P V product is INT8 only";
  if (call.recipe->v_mean == ValueMean::exact) return "it adds no mean of V's rounding errors";
  if (call.recipe->channel_group != 0) return "its scales are of all channels of a token";
  if (call.recipe->q_scales == Granularity::warpgroup || call.recipe->k_scales == Granularity::warpgroup) {
    return "scales that tokens of a GPU's warpgroup share";
  }
  const std::int64_t key_block = call.recipe->key_block;
  if (key_block < key_tile || key_block > largest_key_block || key_block % key_tile != 0) {
    return fmt::format("key blocks of {}, expected a multiple of {} up to {}", key_block, key_tile, largest_key_block);
  }
  return {};
}

std::int64_t padded_keys(std::int64_t count) {
  return (count + key_tile - 1) / key_tile * key_tile;
}

// Memory for every packed head of a call, cut into the pieces that kernels.h describes.
class PackedHeads {
 public:
  PackedHeads(std::int64_t heads, std::int64_t padded, std::int64_t dim, Smoothing smooth_q) : heads_(heads) {
    const std::int64_t smoothed = smooth_q == Smoothing::on ? padded * dim * 4 : 0;
    const std::int64_t stride = padded * (2 * dim + 8) + smoothed;
    memory_ = at::empty({heads * stride}, at::kByte);
    std::uint8_t* at = memory_.mutable_data_ptr<std::uint8_t>();
    const auto take = [&](std::int64_t bytes) { return std::exchange(at, at + bytes); };
    for (Head& head : heads_) {
      head.keys = reinterpret_cast<std::int8_t*>(take(padded * dim));
      head.values = reinterpret_cast<std::int8_t*>(take(padded * dim));
      head.key_offsets = reinterpret_cast<std::int32_t*>(take(padded * 4));
      head.key_scales = reinterpret_cast<float*>(take(padded * 4));
      head.smoothed_keys = smoothed == 0 ? nullptr : reinterpret_cast<float*>(take(smoothed));
    }
  }
  Head& operator[](std::int64_t index) { return heads_[static_cast<std::size_t>(index)]; }

 private:
  std::vector<Head> heads_;
  at::Tensor memory_;
};

// Seconds that threads spend on quantizing, when the call asks for them.
class QuantizationClock {
 public:
  explicit QuantizationClock(const AttendCall& call) : asked_(call.quantization_seconds) {}

  template <class Work>
  void time(const Work& work) {
    if (asked_ == nullptr) return work();
    const auto start = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    total_.fetch_add(seconds.count(), std::memory_order_relaxed);
  }
  void report() const {
    if (asked_ != nullptr) *asked_ = total_.load() / at::get_num_threads();
  }

 private:
  double* asked_;
  std::atomic<double> total_ = 0;
};

template <const Kernels& (*kernels)()>
void run(const AttendCall& call) {
  run_kernels(kernels(), call);
}

// Of one run on all threads.
double operations_per_second(const Kernels& kernels, std::int64_t rounds) {
  const int threads = at::get_num_threads();
  std::atomic<std::int64_t> operations = 0;
  const auto start = std::chrono::steady_clock::now();
  at::parallel_for(0, threads, 1, [&](std::int64_t begin, std::int64_t end) {
    kernels.enter();
    for (std::int64_t i = begin; i < end; ++i) operations += kernels.spin(rounds);
    kernels.leave();
  });
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  return static_cast<double>(operations.load()) / seconds.count();
}

template <const Kernels& (*kernels)()>
double peak_tops() {
  constexpr std::int64_t rounds = 400'000;  // up to ten milliseconds, whatever the instruction
  double best = 0;
  for (int repeat = 0; repeat < 5; ++repeat) best = std::max(best, operations_per_second(kernels(), rounds));
  return best / 1e12;
}

using Lack = std::string (*)();

template <const Kernels& (*kernels)(), Lack lack>
Backend kernel(std::string_view name, std::string_view summary) {
  return {.name = name,
          .arithmetic = Arithmetic::quantized,
          .role = Role::kernel,
          .summary = summary,
          .missing = [](c10::DeviceType device) { return device == c10::kCPU ? lack() : std::string(only_on_the_cpu); },
          .refuses = refusal,
          .run = run<kernels>,
          .peak_tops = [] { return lack().empty() ? peak_tops<kernels>() : 0; }};
}

std::string unless(bool has, const char* lack) {
  return has ? std::string() : lack;
}

#if defined(__x86_64__)
std::string lacks_amx() {
  return unless(x86_features().amx_int8, "the processor or the system has no AMX-INT8");
}

std::string lacks_avx512_vnni() {
  return unless(x86_features().avx512_vnni, "the processor has no AVX512-VNNI with VBMI");
}

std::string lacks_avx_vnni() {
  return unless(x86_features().avx_vnni, "the processor has no AVX-VNNI");
}

std::string lacks_avx2() {
  return unless(x86_features().avx2, "the processor has no AVX2 with FMA");
}

#elif defined(__aarch64__)
std::string lacks_dot_products() {
  return unless(arm_dot_products(), "the processor has no dot products");
}
#endif

std::string lacks_nothing() {
  return {};
}

}  // namespace

void run_kernels(const Kernels& kernels, const AttendCall& call) {
  if (call.q.numel() == 0) return;
  const CallParts parts(call, query_block);
  const std::int64_t padded = padded_keys(parts.most_keys()), dim = call.q.size(3) <= 64 ? 64 : 128;

  constexpr std::int64_t packed_bytes = 4 << 20;
  const std::int64_t together = parts.together(packed_bytes / std::max<std::int64_t>(1, 2 * padded * dim));
  QuantizationClock clock(call);
  PackedHeads packed(together, padded, dim, call.recipe->smooth_q);
  for (std::int64_t first = 0; first < parts.key_heads(); first += together) {
    const std::int64_t last = std::min(first + together, parts.key_heads());
    at::parallel_for(first, last, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t key_head = begin; key_head < end; ++key_head) {
        Head& head = packed[key_head % together];
        head.count = parts.keys(key_head);
        head.padded = padded_keys(head.count);
        clock.time([&] { kernels.pack(parts.keys_and_values(key_head), *call.recipe, head); });
      }
    });
    share_out(first * parts.blocks(), last * parts.blocks(), 1, [&](const auto& next) {
      const auto work = std::make_unique_for_overwrite<Workspace>();
      kernels.enter();
      while (const std::optional<std::int64_t> block = next()) {
        const Queries queries = parts.queries(*block);
        const Head& head = packed[*block / parts.blocks() % together];
        clock.time([&] { kernels.quantize(queries, head, *call.recipe, *work); });
        kernels.attend(queries, head, *call.recipe, *work);
      }
      kernels.leave();
    });
  }
  clock.report();
}

std::span<const Backend> cpu_backends() {  // in order of preference
  // Those of one kind of processor are built for it alone (CMakeLists.txt).
  static const auto all = std::to_array<Backend>({
#if defined(__x86_64__)
    kernel<cpu_amx::kernels, lacks_amx>("cpu-amx", "tiles of 16 x 64 bytes (Sapphire Rapids and later)"),
        kernel<cpu_avx512_vnni::kernels, lacks_avx512_vnni>("cpu-avx512-vnni",
                                                            "64-byte integer dot products (Ice Lake, Zen 4 and later)"),
        kernel<cpu_avx_vnni::kernels, lacks_avx_vnni>("cpu-avx-vnni",
                                                      "32-byte integer dot products (Alder Lake, Zen 5 and later)"),
        kernel<cpu_avx2::kernels, lacks_avx2>("cpu-avx2", "16-bit products (Haswell, Zen and later)"),
#elif defined(__aarch64__)
    kernel<cpu_neon::kernels, lacks_dot_products>("cpu-neon", "16-byte integer dot products (Armv8.2 and later)"),
#endif
        kernel<cpu_scalar::kernels, lacks_nothing>("cpu-scalar", "the same arithmetic without vector instructions"),
  });
  return all;
}

}  // namespace bitreel
