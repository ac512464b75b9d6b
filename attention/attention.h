// Scaled dot-product attention. The one function through which every layer of every model attends.
//
//   at::Tensor o = attend(q, k, v, {.site = {.layer = 3, .step = 17}});
//
// q [B, H, Nq, D]; k, v [B, H, Nkv, D]; fp64, fp32, fp16 or bf16, all of one dtype and device.
// Returns [B, H, Nq, D] in q's dtype. Inputs are not changed.
// softmax(scale * q k^T + bias) v (Vaswani et al. 2017, arXiv 1706.03762, section 3.2.1).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "attention/precision.h"

namespace bitreel {

// sdpa: LibTorch's scaled_dot_product_attention. reference: the formula in fp64, slow, the oracle of all others.
enum class AttentionBackend { sdpa, reference };

std::string_view name_of(AttentionBackend backend);

// Which attention this is: what a precision plan is asked with.
struct AttentionSite {
  std::int64_t layer = 0;
  std::int64_t step = 0;
};

struct AttendOptions {
  AttentionBackend backend = AttentionBackend::sdpa;
  AttentionSite site;
  std::optional<double> scale;  // 1 / sqrt(D) when absent
  at::Tensor bias;              // added to the logits, broadcast to [B, H, Nq, Nkv]; none when undefined
};

at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttendOptions& options = {});

}  // namespace bitreel
