// The table that libbitreel_cuda.so exports.
#include <cuda_runtime.h>

#include "attention/cuda/mma.h"
#include "attention/cuda/quantize.cuh"
#ifdef BITREEL_CUDA_SM90
#include "attention/cuda/sm90/attend.h"
#endif

namespace bitreel::cuda {
namespace {

const char* error_text(int error) {
  return cudaGetErrorString(static_cast<cudaError_t>(error));
}

int compute_capability() {
  int device = 0, major = 0, minor = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
  return error == cudaSuccess ? major * 10 + minor : -static_cast<int>(error);
}

int quantize(const SourceCall& source, const Recipe& recipe, const PackedCall& call, void* stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  const int error = source.key_mask == nullptr ? cudaSuccess : keys_that_count(source, call, on);
  return error != cudaSuccess ? error : quantize_heads(source, recipe, call, on);
}

int qk_bias(const SourceCall& source, const PackedCall& call, void* stream) {
  return bias_of_means(source, call, static_cast<cudaStream_t>(stream));
}

int attend_mma(const Recipe& recipe, MmaUnits units, const PackedCall& packed, void* stream) {
  MmaCall call{};
  call.packed = packed;
  call.keys_of_block = static_cast<std::int32_t>(recipe.key_block);
  call.block_maximum = recipe.maximum == Maximum::block ? 1 : 0;
  call.table = recipe.exponential == Exponential::table ? 1 : 0;
  call.one = 1;
  const auto on = static_cast<cudaStream_t>(stream);
  const bool halves = packed.integers == IntegerFormat::halves;
  switch (recipe.pv) {
    case PvFormat::int8:
      call.one = static_cast<float>(recipe.p_levels);
      return attend_u8(call, on);
    case PvFormat::fp16:
      return halves ? attend_fp16_s4(call, on) : attend_fp16(call, on);
    case PvFormat::fp16_fp16_sum:
      return attend_fp16_sum(call, on);
    default:
      break;
  }
  call.one = e4m3_max;
  call.log2_of_one = 8.807354922f;
  call.rounded_sum = recipe.pv == PvFormat::fp8_ones_row ? 1 : 0;
  call.rounds_to_e4m3 = 1;
  if (units == MmaUnits::sm80) return halves ? attend_fp16_s4(call, on) : attend_fp16(call, on);
  return halves ? attend_e4m3_s4(call, on) : attend_e4m3(call, on);
}

constexpr Plugin plugin = {
    .version = plugin_version,
    .architectures = BITREEL_CUDA_ARCHITECTURES,
    .error_text = error_text,
    .compute_capability = compute_capability,
    .quantize = quantize,
    .qk_bias = qk_bias,
    .attend_mma = attend_mma,
#ifdef BITREEL_CUDA_SM90
    .sm90_refuses = sm90::refuses,
    .attend_sm90 = sm90::attend,
#else
    .sm90_refuses = nullptr,
    .attend_sm90 = nullptr,
#endif
};

}  // namespace
}  // namespace bitreel::cuda

extern "C" __attribute__((visibility("default"))) const bitreel::cuda::Plugin* bitreel_cuda_plugin(
    std::int64_t version) {
  return version == bitreel::cuda::plugin_version ? &bitreel::cuda::plugin : nullptr;
}
