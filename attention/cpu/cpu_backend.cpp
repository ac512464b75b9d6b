#include "attention/cpu/cpu_backend.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "attention/cpu/features.h"
#include "attention/cpu/kernels.h"

namespace bitreel {
namespace {

using namespace cpu;

Element element_of(at::ScalarType type) {
  if (type == at::kHalf) return Element::fp16;
  return type == at::kBFloat16 ? Element::bf16 : Element::fp32;
}

std::string refusal(const AttendCall& call) {
  if (!call.recipe) return "it only does quantized attention";
  const at::ScalarType type = call.q.scalar_type();
  if (!call.q.is_cpu()) return "the tensors are not on the CPU";
  if (type != at::kFloat && type != at::kHalf && type != at::kBFloat16) {
    return fmt::format("{} tensors, expected float, half or bfloat16", c10::toString(type));
  }
  if (call.q.size(3) > largest_dim || call.q.size(3) == 0) {
    return fmt::format("a head dimension of {}, expected 1 to {}", call.q.size(3), largest_dim);
  }
  if (call.recipe->pv != PvFormat::int8) return "its P V product is INT8 only";
  const std::int64_t key_block = call.recipe->key_block;
  if (key_block < key_tile || key_block > largest_key_block || key_block % key_tile != 0) {
    return fmt::format("key blocks of {}, expected a multiple of {} up to {}", key_block, key_tile, largest_key_block);
  }
  if (call.k.size(2) > std::numeric_limits<std::int32_t>::max() - largest_key_block) return "2^31 keys or more";
  if (call.bias.defined()) return "a bias on the logits";
  return {};
}

// Which keys of a batch count, and how many of them each query sees.
struct Visibility {
  std::vector<std::int64_t> kept;  // their places; unused when all count
  std::int64_t count = 0;
  std::vector<std::int32_t> seen;  // by query
};

Visibility visibility_of(const AttendCall& call, const at::Tensor& mask) {
  const std::int64_t queries = call.q.size(2), keys = call.k.size(2);
  Visibility v;
  std::vector<std::int32_t> before(static_cast<std::size_t>(keys) + 1);  // how many count among the first n
  for (std::int64_t key = 0; key < keys; ++key) {
    const bool counts = !mask.defined() || mask.const_data_ptr<bool>()[key];
    before[static_cast<std::size_t>(key) + 1] = before[static_cast<std::size_t>(key)] + (counts ? 1 : 0);
    if (mask.defined() && counts) v.kept.push_back(key);
  }
  v.count = before.back();
  v.seen.resize(static_cast<std::size_t>(queries));
  for (std::int64_t query = 0; query < queries; ++query) {
    const std::int64_t places =
        call.causality == Causality::none ? keys : std::clamp<std::int64_t>(query + 1 + keys - queries, 0, keys);
    v.seen[static_cast<std::size_t>(query)] = before[static_cast<std::size_t>(places)];
  }
  return v;
}

Rows rows_of(const at::Tensor& x, std::int64_t batch, std::int64_t head) {
  const auto* const data = static_cast<const char*>(x.const_data_ptr());
  const std::int64_t offset = batch * x.stride(0) + head * x.stride(1);
  return {data + offset * x.element_size(), x.stride(2), element_of(x.scalar_type())};
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

// Packs heads [first, first + count) of all batches' key heads.
void pack_heads(const Kernels& kernels, const AttendCall& call, const std::vector<Visibility>& visible,
                std::int64_t first, std::int64_t count, PackedHeads& packed, QuantizationClock& clock) {
  const std::int64_t heads = call.k.size(1);
  at::parallel_for(first, first + count, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const Visibility& v = visible[static_cast<std::size_t>(i / heads)];
      Head& head = packed[i - first];
      head.count = v.count;
      head.padded = (v.count + key_tile - 1) / key_tile * key_tile;
      const KeysAndValues source = {.k = rows_of(call.k, i / heads, i % heads),
                                    .v = rows_of(call.v, i / heads, i % heads),
                                    .kept = v.kept.empty() ? nullptr : v.kept.data(),
                                    .count = v.count,
                                    .dim = static_cast<int>(call.k.size(3))};
      clock.time([&] { kernels.pack(source, *call.recipe, head); });
    }
  });
}

Queries queries_of(const AttendCall& call, const Visibility& visible, std::int64_t batch, std::int64_t head,
                   std::int64_t first) {
  const auto from = [&](Rows rows) {
    const auto* const data = static_cast<const char*>(rows.data);
    return Rows{data + first * rows.stride * call.q.element_size(), rows.stride, rows.element};
  };
  const Rows out = from(rows_of(call.out, batch, head));
  const at::Tensor& lse = call.log_sum_exp;
  float* const lse_row = lse.defined() ? lse.mutable_data_ptr<float>() + batch * lse.stride(0) + head * lse.stride(1) +
                                             first * lse.stride(2)
                                       : nullptr;
  return {.q = from(rows_of(call.q, batch, head)),
          .count = std::min(query_block, call.q.size(2) - first),
          .dim = static_cast<int>(call.q.size(3)),
          .scale = call.scale,
          .seen = visible.seen.data() + first,
          .out = const_cast<void*>(out.data),
          .out_stride = out.stride,
          .log_sum_exp = lse_row,
          .log_sum_exp_stride = lse.defined() ? lse.stride(2) : 0};
}

template <const Kernels& (*kernels)()>
void run(const AttendCall& call) {
  run_kernels(kernels(), call);
}

std::string unless(bool has, const char* lack) {
  return has ? std::string() : lack;
}

struct Entry {
  Backend backend;
  const Kernels& (*kernels)();
};

template <const Kernels& (*kernels)()>
Entry entry(std::string_view name, std::string_view summary, std::string (*missing)()) {
  return {{name, Arithmetic::quantized, Role::kernel, summary, missing, refusal, run<kernels>}, kernels};
}

const std::vector<Entry>& entries() {
  static const std::vector<Entry> all = {
      entry<cpu_amx::kernels>(
          "cpu-amx", "tiles of 16 x 64 bytes (Sapphire Rapids and later)",
          [] { return unless(x86_features().amx_int8, "the processor or the system has no AMX-INT8"); }),
      entry<cpu_avx512_vnni::kernels>(
          "cpu-avx512-vnni", "64-byte integer dot products (Ice Lake, Zen 4 and later)",
          [] { return unless(x86_features().avx512_vnni, "the processor has no AVX512-VNNI with VBMI"); }),
      entry<cpu_avx_vnni::kernels>("cpu-avx-vnni", "32-byte integer dot products (Alder Lake, Zen 5 and later)",
                                   [] { return unless(x86_features().avx_vnni, "the processor has no AVX-VNNI"); }),
      entry<cpu_avx2::kernels>("cpu-avx2", "16-bit products (Haswell, Zen and later)",
                               [] { return unless(x86_features().avx2, "the processor has no AVX2 with FMA"); }),
      entry<cpu_scalar::kernels>("cpu-scalar", "the same arithmetic without vector instructions",
                                 [] { return std::string(); }),
  };
  return all;
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

}  // namespace

void run_kernels(const Kernels& kernels, const AttendCall& call) {
  const std::int64_t batches = call.q.size(0), heads = call.q.size(1), queries = call.q.size(2);
  if (call.q.numel() == 0) return;
  const at::Tensor mask = call.key_mask.defined() ? call.key_mask.contiguous() : at::Tensor();
  std::vector<Visibility> visible;
  std::int64_t most = 0;
  for (std::int64_t b = 0; b < batches; ++b) {
    visible.push_back(visibility_of(call, mask.defined() ? mask[b] : mask));
    most = std::max(most, visible.back().count);
  }
  const std::int64_t key_heads = call.k.size(1), shared_by = heads / key_heads, all_key_heads = batches * key_heads;
  const std::int64_t padded = (most + key_tile - 1) / key_tile * key_tile, dim = call.q.size(3) <= 64 ? 64 : 128;

  // A few heads at a time, so that packed ones are still in the cache when they are read, and memory stays small.
  constexpr std::int64_t packed_bytes = 4 << 20;
  const std::int64_t fit = packed_bytes / std::max<std::int64_t>(1, 2 * padded * dim);
  const std::int64_t together =
      std::clamp<std::int64_t>(std::max<std::int64_t>(fit, at::get_num_threads()), 1, all_key_heads);
  QuantizationClock clock(call);
  PackedHeads packed(together, padded, dim, call.recipe->smooth_q);
  const std::int64_t blocks = (queries + query_block - 1) / query_block;
  for (std::int64_t first = 0; first < all_key_heads; first += together) {
    const std::int64_t count = std::min(together, all_key_heads - first);
    pack_heads(kernels, call, visible, first, count, packed, clock);
    at::parallel_for(0, count * shared_by * blocks, 1, [&](std::int64_t begin, std::int64_t end) {
      const auto work = std::make_unique_for_overwrite<Workspace>();
      kernels.enter();
      for (std::int64_t i = begin; i < end; ++i) {
        // Query heads are numbered like key heads, shared_by of them to each.
        const std::int64_t block = i % blocks, query_head = first * shared_by + i / blocks;
        const std::int64_t batch = query_head / heads;
        const Queries of =
            queries_of(call, visible[static_cast<std::size_t>(batch)], batch, query_head % heads, block * query_block);
        const Head& head = packed[query_head / shared_by - first];
        clock.time([&] { kernels.quantize(of, head, *call.recipe, *work); });
        kernels.attend(of, head, *call.recipe, *work);
      }
      kernels.leave();
    });
  }
  clock.report();
}

std::span<const Backend> cpu_backends() {
  static const std::vector<Backend> all = [] {
    std::vector<Backend> backends;
    for (const Entry& entry : entries()) backends.push_back(entry.backend);
    return backends;
  }();
  return all;
}

double peak_tops(const Backend& backend) {
  const auto found = std::ranges::find(entries(), backend.name, [](const Entry& e) { return e.backend.name; });
  if (found == entries().end() || !backend.missing().empty()) return 0;
  constexpr std::int64_t rounds = 400'000;  // up to ten milliseconds, whatever the instruction
  double best = 0;
  for (int repeat = 0; repeat < 5; ++repeat) best = std::max(best, operations_per_second(found->kernels(), rounds));
  return best / 1e12;
}

}  // namespace bitreel
