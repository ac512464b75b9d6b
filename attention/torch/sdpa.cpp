// LibTorch's scaled_dot_product_attention, asked in the dtype in which this machine does it best: q's, or fp32 on a CPU
// without bf16 tiles, where LibTorch's half-precision kernel is slower than its fp32 one and rounds more.
//
// Full precision only. A causal mask that is not square, a key mask and a bias go to LibTorch as one mask of
// [.., Nq, Nkv]. Log-sum-exp, which LibTorch does not return, is computed apart in fp32 for as much again as q k^T.
// Its `kernel` is what LibTorch picks for such tensors without a mask: "cuDNN", "FlashAttention", "memory-efficient" or
// "plain operations".
#include "attention/backends.h"

#include <ATen/ATen.h>
#include <ATen/SDPBackend.h>

#include <algorithm>
#include <limits>

#include "attention/torch/visibility.h"
#include "base/cpu_features.h"

namespace bitreel {
namespace {

at::ScalarType working_dtype(const at::Tensor& q) {
  const bool widens = q.is_cpu() && c10::isReducedFloatingType(q.scalar_type()) && !x86_features().amx_bf16;
  return widens ? at::kFloat : q.scalar_type();
}

constexpr double infinity = std::numeric_limits<double>::infinity();

// What LibTorch takes: a bool mask, or numbers to add to the logits; undefined when there is neither.
at::Tensor mask_of(const AttendCall& call, const at::Tensor& visible, at::ScalarType dtype) {
  if (!call.bias.defined()) return visible;
  const at::Tensor bias = call.bias.to(dtype);
  return visible.defined() ? at::where(visible, bias, at::scalar_tensor(-infinity, bias.options())) : bias;
}

// On a GPU LibTorch's kernels want rows of whole 16 bytes: of others some refuse, and cuDNN has given wrong numbers.
at::Tensor well_aligned(const at::Tensor& x) {
  if (!x.is_cuda()) return x;
  const std::int64_t whole = 16 / x.element_size();
  bool aligned = reinterpret_cast<std::uintptr_t>(x.const_data_ptr()) % 16 == 0;
  for (std::int64_t d = 0; d < 3; ++d) aligned = aligned && x.stride(d) % whole == 0;
  return aligned ? x : x.clone(at::MemoryFormat::Contiguous);
}

void fill_log_sum_exp(const AttendCall& call, const at::Tensor& k, const at::Tensor& mask) {
  constexpr std::int64_t rows_at_once = 1024;
  const at::ScalarType dtype = call.q.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const std::int64_t batches = call.q.size(0), heads = call.q.size(1), queries = call.q.size(2), keys = k.size(2);
  const std::int64_t queries_per_key = heads / k.size(1);
  const at::Tensor whole_mask = mask.defined() ? mask.expand({batches, heads, queries, keys}) : mask;
  for (std::int64_t b = 0; b < batches; ++b) {
    for (std::int64_t h = 0; h < heads; ++h) {
      const at::Tensor keys_transposed = k[b][h / queries_per_key].to(dtype).t();
      for (std::int64_t begin = 0; begin < queries; begin += rows_at_once) {
        const auto rows = [&](const at::Tensor& x) { return x[b][h].slice(0, begin, begin + rows_at_once); };
        at::Tensor logits = at::matmul(rows(call.q).to(dtype) * call.scale, keys_transposed);
        if (mask.defined() && mask.scalar_type() == at::kBool) {
          logits = logits.masked_fill(rows(whole_mask).logical_not(), -infinity);
        } else if (mask.defined()) {
          logits = logits + rows(whole_mask);
        }
        rows(call.log_sum_exp).copy_(at::logsumexp(logits, 1));
      }
    }
  }
}

void run(const AttendCall& call) {
  const at::ScalarType dtype = working_dtype(call.q);
  const at::Tensor k = only_counted(call.k, call), v = only_counted(call.v, call);
  // LibTorch aligns the first query with the first key, and then needs no mask.
  const bool square_causal = call.causality == Causality::bottom_right && !call.key_mask.defined() &&
                             !call.bias.defined() && call.q.size(2) == call.k.size(2);
  at::Tensor mask, visible;
  if (!square_causal || call.log_sum_exp.defined()) {
    visible = visible_keys(call);
    mask = mask_of(call, visible, dtype);
  }
  const auto given_mask = mask.defined() && !square_causal ? std::optional<at::Tensor>(mask) : std::nullopt;
  const bool grouped = call.q.size(1) != k.size(1);
  const auto ready = [&](const at::Tensor& x) { return well_aligned(x.to(dtype)); };
  // Some of LibTorch's kernels for GPUs take the largest product for the largest logit.
  const bool negate = call.q.is_cuda() && call.scale < 0;
  call.out.copy_(at::scaled_dot_product_attention(negate ? ready(call.q).neg() : ready(call.q), ready(k), ready(v),
                                                  given_mask, /*dropout_p=*/0.0, square_causal,
                                                  negate ? -call.scale : call.scale, grouped));
  // On a GPU some of LibTorch's kernels give queries without any key a mean of values.
  if (call.out.is_cuda() && given_mask && visible.defined()) {
    call.out.masked_fill_(visible.any(-1, /*keepdim=*/true).logical_not(), 0);
  }
  if (call.log_sum_exp.defined()) fill_log_sum_exp(call, k, mask);
}

std::string missing(c10::DeviceType) {
  return {};
}

std::string refuses(const AttendCall& call) {
  return call.recipe ? "quantizes nothing" : "";
}

std::string_view kernel(const AttendCall& call) {
  switch (static_cast<at::SDPBackend>(at::_fused_sdp_choice(call.q, call.k, call.v))) {
    case at::SDPBackend::cudnn_attention:
      return "cuDNN";
    case at::SDPBackend::flash_attention:
      return "FlashAttention";
    case at::SDPBackend::efficient_attention:
      return "memory-efficient";
    default:
      return "plain operations";
  }
}

}  // namespace

std::span<const Backend> sdpa_backends() {
  static constexpr Backend backend{.name = "sdpa",
                                   .arithmetic = Arithmetic::full,
                                   .role = Role::kernel,
                                   .summary = "LibTorch's scaled_dot_product_attention (cuDNN's on Hopper)",
                                   .missing = missing,
                                   .refuses = refuses,
                                   .run = run,
                                   .kernel = kernel};
  return {&backend, 1};
}

}  // namespace bitreel
