#include "attention/cuda/cuda_backend.h"

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <type_traits>
#include <vector>

#include "attention/cuda/load_plugin.h"
#include "base/error.h"

namespace bitreel {
namespace {

using cuda::block_tokens;
using cuda::padded;

enum class Kernel { sm90, mma, mma_sm80 };

void check(int error, const char* what) {
  if (error != 0) {
    throw Error(fmt::format("CUDA kernels of attention: {}: {}", what, cuda::loaded_plugin().error_text(error)));
  }
}

int compute_capability() {
  const int capability = cuda::loaded_plugin().compute_capability();
  check(std::max(0, -capability), "compute capability");
  return capability;
}

cuda::MmaUnits units_of(Kernel kernel) {
  return kernel == Kernel::mma_sm80 || compute_capability() < 89 ? cuda::MmaUnits::sm80 : cuda::MmaUnits::sm89;
}

cuda::ValueFormat values_of(PvFormat pv, Kernel kernel) {
  switch (pv) {
    case PvFormat::int8:
      return cuda::ValueFormat::int8;
    case PvFormat::fp16:
    case PvFormat::fp16_fp16_sum:
      return cuda::ValueFormat::fp16;
    default:
      break;
  }
  const bool as_fp16 = kernel != Kernel::sm90 && units_of(kernel) == cuda::MmaUnits::sm80;
  return as_fp16 ? cuda::ValueFormat::e4m3_in_fp16 : cuda::ValueFormat::e4m3;
}

// Halves of bytes where there is a unit for them; elsewhere the same integers are bytes.
bool four_bits(const Recipe& recipe, Kernel kernel) {
  if (kernel == Kernel::sm90 || !cuda::has_four_bit_kernel(recipe)) return false;
  return kernel == Kernel::mma_sm80 || compute_capability() < 90;
}

cuda::Element element_of(at::ScalarType type) {
  if (type == at::kHalf) return cuda::Element::fp16;
  return type == at::kBFloat16 ? cuda::Element::bf16 : cuda::Element::fp32;
}

cuda::Rows rows_of(const at::Tensor& x) {
  return {
      .data = x.const_data_ptr(), .batch_stride = x.stride(0), .head_stride = x.stride(1), .token_stride = x.stride(2)};
}

// What a kernel needs to know of a call to say whether it can do it.
cuda::PackedCall shape_of(const AttendCall& call, Kernel kernel) {
  const auto int32 = [](std::int64_t x) { return static_cast<std::int32_t>(x); };
  cuda::PackedCall packed{};
  packed.batch = int32(call.q.size(0));
  packed.query_heads = int32(call.q.size(1));
  packed.key_heads = int32(call.k.size(1));
  packed.queries = int32(call.q.size(2));
  packed.keys = int32(call.k.size(2));
  packed.dim = call.q.size(3) <= 64 ? 64 : 128;
  packed.out_dim = int32(call.q.size(3));
  packed.causal = call.causality == Causality::bottom_right ? 1 : 0;
  packed.key_scales = kernel == Kernel::sm90 ? cuda::KeyScales::warpgroup : cuda::KeyScales::token;
  packed.four_bits = four_bits(*call.recipe, kernel) ? 1 : 0;
  packed.values = values_of(call.recipe->pv, kernel);
  packed.element = element_of(call.q.scalar_type());
  packed.head_count = packed.batch * packed.query_heads;
  return packed;
}

// One piece of LibTorch's memory for everything that a call needs, cut into arrays at multiples of 256 bytes.
class Workspace {
 public:
  // Asks for room of so many elements (bytes where the type is void); the array is there after allocate().
  template <class T>
  void want(T*& array, std::int64_t elements) {
    constexpr std::int64_t size = sizeof(std::conditional_t<std::is_void_v<T>, std::uint8_t, T>);
    const std::int64_t offset = bytes_;
    wanted_.emplace_back([&array, offset](std::uint8_t* base) { array = reinterpret_cast<T*>(base + offset); });
    bytes_ += (elements * size + 255) / 256 * 256;
  }
  void allocate(at::Device device) {
    memory_ = at::empty({bytes_}, at::TensorOptions(at::kByte).device(device));
    for (const auto& point : wanted_) point(memory_.mutable_data_ptr<std::uint8_t>());
  }
  // A view of an array that was asked for.
  at::Tensor view(const void* array, at::IntArrayRef sizes, at::ScalarType type) const {
    const std::int64_t offset = static_cast<const std::uint8_t*>(array) - memory_.const_data_ptr<std::uint8_t>();
    const std::int64_t bytes = std::accumulate(sizes.begin(), sizes.end(), std::int64_t{1}, std::multiplies<>()) *
                               static_cast<std::int64_t>(c10::elementSize(type));
    return memory_.slice(0, offset, offset + bytes).view(type).view(sizes);
  }

 private:
  std::vector<std::function<void(std::uint8_t* base)>> wanted_;
  std::int64_t bytes_ = 0;
  at::Tensor memory_;
};

// A call on its way through the plugin.
class CudaCall {
 public:
  CudaCall(const AttendCall& call, Kernel kernel)
      : call_(call), kernel_(kernel), recipe_(*call.recipe), packed_(shape_of(call, kernel)) {
    source_.q = rows_of(call.q);
    source_.k = rows_of(call.k);
    source_.v = rows_of(call.v);
    source_.element = packed_.element;
    source_.dim = packed_.out_dim;
    source_.scale = call.scale;
    if (call.key_mask.defined()) {
      source_.key_mask = call.key_mask.const_data_ptr<bool>();
      source_.mask_batch_stride = call.key_mask.stride(0);
      source_.mask_key_stride = call.key_mask.stride(1);
    }
    packed_.out = call.out.mutable_data_ptr();
    packed_.out_batch_stride = call.out.stride(0);
    packed_.out_head_stride = call.out.stride(1);
    packed_.out_token_stride = call.out.stride(2);
    if (call.log_sum_exp.defined()) {
      packed_.log_sum_exp = call.log_sum_exp.mutable_data_ptr<float>();
      packed_.lse_batch_stride = call.log_sum_exp.stride(0);
      packed_.lse_head_stride = call.log_sum_exp.stride(1);
      packed_.lse_token_stride = call.log_sum_exp.stride(2);
    }
    allocate();
    stream_ = c10::impl::VirtualGuardImpl(at::kCUDA).getStream(call.q.device()).native_handle();
  }

  void quantize() { check(cuda::loaded_plugin().quantize(source_, recipe_, packed_, stream_), "quantization"); }

  void attend() {
    const std::int32_t all = packed_.head_count;
    for (std::int32_t first = 0; first < all; first += heads_at_once_) {
      packed_.first_head = first;
      packed_.head_count = std::min(heads_at_once_, all - first);
      if (packed_.qk_bias != nullptr)
        check(cuda::loaded_plugin().qk_bias(source_, packed_, stream_), "smoothed queries");
      check(attend_heads(), "attention");
    }
  }

  [[nodiscard]] PackedTensors tensors() const {
    const std::int64_t b = packed_.batch, hq = packed_.query_heads, hkv = packed_.key_heads, dim = packed_.dim;
    const std::int64_t queries = padded(packed_.queries), keys = padded(packed_.keys);
    const std::vector<std::int64_t> of_groups = {b, hkv, keys / block_tokens, 4}, of_tokens = {b, hkv, keys};
    const bool bytes = value_bytes() == 1;
    const std::int64_t row = packed_.four_bits != 0 ? dim / 2 : dim;
    return {.q = memory_.view(packed_.q, {b, hq, queries, row}, at::kChar),
            .q_scales = memory_.view(packed_.q_scales, {b, hq, queries}, at::kFloat),
            .k = memory_.view(packed_.k, {b, hkv, keys, row}, at::kChar),
            .k_scales = memory_.view(
                packed_.k_scales, packed_.key_scales == cuda::KeyScales::warpgroup ? of_groups : of_tokens, at::kFloat),
            .v = memory_.view(packed_.v, {b, hkv, dim + cuda::extra_rows, keys}, bytes ? at::kByte : at::kHalf),
            .v_scales = memory_.view(packed_.v_scales, {b, hkv, dim}, at::kFloat),
            .v_mean = memory_.view(packed_.v_mean, {b, hkv, dim}, at::kFloat),
            .k_mean = memory_.view(packed_.k_mean, {b, hkv, dim}, at::kFloat)};
  }

 private:
  [[nodiscard]] std::int64_t value_bytes() const {
    return packed_.values == cuda::ValueFormat::int8 || packed_.values == cuda::ValueFormat::e4m3 ? 1 : 2;
  }

  void allocate() {
    const std::int64_t query_heads = std::int64_t{packed_.batch} * packed_.query_heads;
    const std::int64_t key_heads = std::int64_t{packed_.batch} * packed_.key_heads;
    const std::int64_t queries = padded(packed_.queries), keys = padded(packed_.keys), dim = packed_.dim;
    const cuda::QuantizationMemory need = cuda::quantization_memory(packed_);
    memory_.want(packed_.q, query_heads * queries * dim);
    memory_.want(packed_.k, key_heads * keys * dim);
    memory_.want(packed_.v, key_heads * (dim + cuda::extra_rows) * keys * value_bytes());
    memory_.want(packed_.q_scales, query_heads * queries);
    memory_.want(packed_.k_scales, key_heads * keys);
    memory_.want(packed_.v_scales, key_heads * dim);
    memory_.want(packed_.v_mean, key_heads * dim);
    memory_.want(packed_.k_mean, key_heads * dim);
    memory_.want(source_.sums, need.sums);
    memory_.want(source_.extremes, need.extremes);
    memory_.want(source_.v_divisors, need.v_divisors);
    if (call_.log_sum_exp.defined()) memory_.want(packed_.lse_shift, query_heads * queries);
    if (call_.key_mask.defined()) {
      memory_.want(source_.kept, std::int64_t{packed_.batch} * packed_.keys);
      memory_.want(packed_.keys_seen, std::int64_t{packed_.batch} * (packed_.keys + 1));
      memory_.want(packed_.key_count, packed_.batch);
    }
    heads_at_once_ = packed_.head_count;
    if (recipe_.smooth_q == Smoothing::on) {
      const std::int64_t of_head = queries / block_tokens * keys;
      const std::int64_t fit = std::max<std::int64_t>(1, bias_bytes / (of_head * 4));
      heads_at_once_ = static_cast<std::int32_t>(std::min(query_heads, fit));
      memory_.want(packed_.q_means, query_heads * queries / block_tokens * dim);
      memory_.want(packed_.qk_bias, heads_at_once_ * of_head);
    }
    memory_.allocate(call_.q.device());
  }

  int attend_heads() {
    const cuda::Plugin& plugin = cuda::loaded_plugin();
    if (kernel_ == Kernel::sm90) return plugin.attend_sm90(recipe_, packed_, stream_);
    return plugin.attend_mma(recipe_, units_of(kernel_), packed_, stream_);
  }

  const AttendCall& call_;
  Kernel kernel_;
  Recipe recipe_;
  cuda::PackedCall packed_;
  cuda::SourceCall source_{};
  Workspace memory_;
  std::int32_t heads_at_once_ = 0;
  void* stream_ = nullptr;
};

std::string common_refusal(const AttendCall& call) {
  if (!call.recipe) return "it only does quantized attention";
  if (call.recipe->v_mean == ValueMean::exact) return "it adds no mean of V's rounding errors";
  if (call.recipe->channel_group != 0) return "its scales are of all channels of a token";
  const at::ScalarType type = call.q.scalar_type();
  if (type != at::kFloat && type != at::kHalf && type != at::kBFloat16) {
    return fmt::format("{} tensors, expected float, half or bfloat16", c10::toString(type));
  }
  if (call.q.size(3) > 128 || call.q.size(3) == 0) {
    return fmt::format("a head dimension of {}, expected 1 to 128", call.q.size(3));
  }
  if (call.bias.defined()) return "a bias on the logits";
  constexpr std::int64_t most_tokens = std::numeric_limits<std::int32_t>::max() / 2, most_heads = 65535;
  if (std::max(call.q.size(2), call.k.size(2)) > most_tokens) return "2^30 tokens or more";
  if (call.q.size(0) * call.q.size(1) > most_heads) {
    return fmt::format("{} heads in all, expected up to {}", call.q.size(0) * call.q.size(1), most_heads);
  }
  return {};
}

template <Kernel kernel>
std::string missing(c10::DeviceType device) {
  if (device != c10::kCUDA) return "it runs on NVIDIA GPUs only";
  if (std::string lack = cuda::missing_plugin(); !lack.empty()) return lack;
  const int capability = cuda::loaded_plugin().compute_capability();
  if (capability < 0) return cuda::loaded_plugin().error_text(-capability);
  if constexpr (kernel == Kernel::sm90) {
    if (cuda::loaded_plugin().attend_sm90 == nullptr) return "the plugin was built without it";
    if (capability != 90) return fmt::format("the GPU is sm_{}, expected sm_90", capability);
  }
  if (capability < 80) return fmt::format("the GPU is sm_{}, expected sm_80 or later", capability);
  return {};
}

template <Kernel kernel>
std::string refuses(const AttendCall& call) {
  if (std::string common = common_refusal(call); !common.empty()) return common;
  if constexpr (kernel == Kernel::sm90) {
    if (std::string lack = missing<kernel>(c10::kCUDA); !lack.empty()) return lack;
    const cuda::PackedCall shape = shape_of(call, kernel);
    const char* const reason = cuda::loaded_plugin().sm90_refuses(*call.recipe, shape);
    if (reason != nullptr) return reason;
    if (call.key_mask.defined()) return "a key mask";
  }
  return {};
}

template <Kernel kernel>
void run(const AttendCall& call) {
  if (call.q.numel() == 0) return;
  const c10::DeviceGuard on(call.q.device());
  if (call.k.size(2) == 0) {
    call.out.zero_();
    if (call.log_sum_exp.defined()) call.log_sum_exp.fill_(-std::numeric_limits<double>::infinity());
    return;
  }
  CudaCall work(call, kernel);
  work.quantize();
  work.attend();
}

template <Kernel kernel>
void quantize(const AttendCall& call) {
  const c10::DeviceGuard on(call.q.device());
  CudaCall(call, kernel).quantize();
}

template <Kernel kernel>
Backend backend_of(std::string_view name, std::string_view summary) {
  return {.name = name,
          .arithmetic = Arithmetic::quantized,
          .role = Role::kernel,
          .summary = summary,
          .missing = missing<kernel>,
          .refuses = refuses<kernel>,
          .run = run<kernel>,
          .quantize = quantize<kernel>};
}

}  // namespace

std::span<const Backend> cuda_backends() {
  static const std::vector<Backend> all = {
      backend_of<Kernel::sm90>("cuda-sm90", "warpgroup products and bulk copies (Hopper)"),
      backend_of<Kernel::mma>("cuda-mma", "warp products: every recipe and mask (Ampere and later)"),
      backend_of<Kernel::mma_sm80>("cuda-mma-sm80", "the same with an Ampere's units alone"),
  };
  return all;
}

PackedTensors quantize_on_cuda(const AttendCall& call, const Backend& backend) {
  const c10::DeviceGuard on(call.q.device());
  const Kernel kernel = backend.run == run<Kernel::sm90>  ? Kernel::sm90
                        : backend.run == run<Kernel::mma> ? Kernel::mma
                                                          : Kernel::mma_sm80;
  CudaCall work(call, kernel);
  work.quantize();
  return work.tensors();
}

}  // namespace bitreel
