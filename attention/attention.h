// Scaled dot-product attention in full, 8-bit or 4-bit precision: the one function through which every layer attends.
//
//   at::Tensor o = attend(q, k, v, {.precision = Precision::int8});
//
// This header is the room's public face: precisions, recipes, backends, reports and similarity come with it.
// schedulers/precision, which knows no tensors, includes precision.h alone.
//
// q [B, Hq, Nq, D]; k, v [B, Hkv, Nkv, D], or [B, N, H, D] with Layout::tokens_first; Hq a multiple of Hkv (grouped
// queries); fp32, fp16 or bf16 (fp64 in full precision), all of one dtype and device; last stride 1; D <= 128 when
// quantized. Returns the same layout as q in q's dtype. Inputs are not changed.
// Keys that key_mask or causality leave out don't count; a query without any key gets zeros, log-sum-exp -infinity.
// Quantized, NaN or infinity in a query makes its row NaN, in a key or value its whole head; in full precision they
// spread as the formula spreads them.
// Throws Error for tensors that don't fit and when no backend, or not the named one, can do what was asked; UsageError
// when there is no backend of that name or it is for the other arithmetic. Calls that a slow oracle has to do because
// no kernel can are told to the report.
// softmax(scale q k^T + bias) v: Vaswani et al. 2017, arXiv 1706.03762. Quantization: attention/recipe.h.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>

#include "attention/attend_report.h"
#include "attention/head_norms.h"
#include "attention/precision.h"
#include "attention/recipes.h"
#include "attention/registry.h"
#include "attention/similarity.h"

namespace bitreel {

// heads_first: [B, H, N, D], also called BHND. tokens_first: [B, N, H, D], BNHD.
enum class Layout { heads_first, tokens_first };

struct AttendOptions {
  Precision precision = Precision::full;
  std::optional<Recipe> recipe = {};  // instead of the precision's own on the tensors' device
  std::string backend = {};           // by name, one for this arithmetic; the best that can when empty
  Layout layout = Layout::heads_first;
  std::optional<double> scale = {};  // 1 / sqrt(D) when absent
  Causality causality = Causality::none;
  at::Tensor key_mask = {};                // [B, Nkv] bool, true for keys that count
  at::Tensor bias = {};                    // added to the logits, broadcast to [B, Hq, Nq, Nkv]; full precision only
  double* quantization_seconds = nullptr;  // set to the time that quantizing took; by CPU kernels only
  at::Tensor* log_sum_exp = nullptr;       // set to [B, Hq, Nq] fp32, natural logarithm
  AttendReport* report = nullptr;          // told what ran
};

at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttendOptions& options = {});

// The same of the q and k that norms make of these (head_norms.h); nothing where the backend that attend() would pick
// does not take them so. q, k, v: as for attend(), of as many tokens and heads each.
std::optional<at::Tensor> attend_before_norms(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                              const HeadNorms& norms, const AttendOptions& options = {});

// Whether it does that for some calls on this kind of device, here and now.
bool norms_heads_on(c10::DeviceType device);

}  // namespace bitreel
