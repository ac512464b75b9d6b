#include "attention/cuda/cuda_backend.h"

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "attention/cuda/load_plugin.h"
#include "base/error.h"

namespace bitreel {
namespace {

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

// Halves of bytes where there is a unit for them; Hopper's warpgroups multiply 4-bit integers as e4m3, whose products
// come as the floats that int8's would have to become. Elsewhere the same integers are bytes.
cuda::IntegerFormat integers_of(const Recipe& recipe, Kernel kernel) {
  if (kernel == Kernel::sm90 && recipe.qk == QkFormat::int4) return cuda::IntegerFormat::e4m3;
  if (kernel == Kernel::sm90 || !cuda::has_four_bit_kernel(recipe)) return cuda::IntegerFormat::bytes;
  const bool has_unit = kernel == Kernel::mma_sm80 || compute_capability() < 90;
  return has_unit ? cuda::IntegerFormat::halves : cuda::IntegerFormat::bytes;
}

cuda::PackedFormats formats_of(const Recipe& recipe, Kernel kernel) {
  return {.integers = integers_of(recipe, kernel),
          .key_scales = kernel == Kernel::sm90 ? cuda::KeyScales::warpgroup : cuda::KeyScales::token,
          .values = values_of(recipe.pv, kernel)};
}

// A call on its way through the plugin.
class CudaCall {
 public:
  CudaCall(const AttendCall& call, Kernel kernel)
      : kernel_(kernel),
        recipe_(*call.recipe),
        prepared_(call, formats_of(recipe_, kernel)),
        stream_(c10::impl::VirtualGuardImpl(at::kCUDA).getStream(call.q.device()).native_handle()) {}

  void quantize() {
    check(cuda::loaded_plugin().quantize(prepared_.source(), recipe_, prepared_.packed(), stream_), "quantization");
  }

  void attend() {
    const std::int32_t all = prepared_.packed().head_count, at_once = prepared_.heads_at_once();
    for (std::int32_t first = 0; first < all; first += at_once) {
      const cuda::PackedCall heads = prepared_.heads(first, std::min(at_once, all - first));
      if (heads.qk_bias != nullptr) {
        check(cuda::loaded_plugin().qk_bias(prepared_.source(), heads, stream_), "smoothed queries");
      }
      check(attend(heads), "attention");
    }
  }

  [[nodiscard]] cuda::PackedTensors tensors() const { return prepared_.tensors(); }

 private:
  int attend(const cuda::PackedCall& heads) {
    const cuda::Plugin& plugin = cuda::loaded_plugin();
    if (kernel_ == Kernel::sm90) return plugin.attend_sm90(recipe_, heads, stream_);
    return plugin.attend_mma(recipe_, units_of(kernel_), heads, stream_);
  }

  Kernel kernel_;
  Recipe recipe_;
  cuda::PreparedCall prepared_;
  void* stream_;
};

std::string common_refusal(const AttendCall& call) {
  if (!call.recipe) return "it only does quantized attention";
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
    const cuda::PackedCall shape = shape_of(call, formats_of(*call.recipe, kernel));
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

// Heads as they lie in one projection of 16-bit numbers, queries with a scale each (sm90/projections.cuh).
bool takes_norms(const AttendCall& call) {
  const std::int64_t dim = call.q.size(3), vector = 8;
  const bool whole = (dim == 64 || dim == 128) && call.q.scalar_type() != at::kFloat &&
                     call.q.size(2) * dim < std::numeric_limits<std::int32_t>::max();
  const auto on_vectors = [&](const at::Tensor& x) {
    return reinterpret_cast<std::uintptr_t>(x.const_data_ptr()) % 16 == 0 && x.stride(0) % vector == 0 &&
           x.stride(1) % vector == 0 && x.stride(2) % vector == 0;
  };
  return whole && on_vectors(call.q) && on_vectors(call.k) && !call.log_sum_exp.defined() &&
         call.recipe->q_scales == Granularity::token;
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
          .takes_norms = kernel == Kernel::sm90 ? takes_norms : nullptr,
          .quantize = quantize<kernel>};
}

}  // namespace

std::span<const Backend> cuda_backends() {  // in order of preference
  static const std::vector<Backend> all = {
      backend_of<Kernel::sm90>("cuda-sm90",
                               "warpgroup products and bulk copies (Hopper); 4-bit integers are multiplied as e4m3"),
      backend_of<Kernel::mma>("cuda-mma", "warp products: every recipe and mask (Ampere and later)"),
      backend_of<Kernel::mma_sm80>("cuda-mma-sm80", "the same with an Ampere's units alone"),
  };
  return all;
}

cuda::PackedTensors quantize_on_cuda(const AttendCall& call, const Backend& backend) {
  const c10::DeviceGuard on(call.q.device());
  const Kernel kernel = backend.run == run<Kernel::sm90>  ? Kernel::sm90
                        : backend.run == run<Kernel::mma> ? Kernel::mma
                                                          : Kernel::mma_sm80;
  CudaCall work(call, kernel);
  work.quantize();
  return work.tensors();
}

}  // namespace bitreel
