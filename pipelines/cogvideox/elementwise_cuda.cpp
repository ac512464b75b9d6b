#include "pipelines/cogvideox/elementwise_cuda.h"

#include <ATen/ATen.h>

#include <bit>

#include "pipelines/layers/cuda/cuda_rows.h"

namespace bitreel::on_cuda {
namespace {

std::int32_t small(std::int64_t value) {
  return static_cast<std::int32_t>(value);
}

// shift, scale and gate are parts of one product's row, so neighbouring clips have one distance.
cuda::RowsOfClips rows_of(const at::Tensor& x, const Modulations& m) {
  return {.element = cuda::row_element(x),
          .clips = small(x.size(0)),
          .tokens = small(x.size(1)),
          .text_tokens = small(m.text_tokens),
          .dim = small(x.size(2)),
          .modulation_stride = m.video.shift.stride(0)};
}

}  // namespace

bool takes_rows(const at::Tensor& x) {
  return cuda::rows_take(x) && x.size(2) <= cuda::widest_row;
}

bool takes_heads(const at::Tensor& qkv) {
  return cuda::rows_take(qkv) && qkv.size(4) <= cuda::widest_head && qkv.numel() < std::int64_t{1} << 35 &&
         qkv.size(1) * qkv.size(4) < std::int64_t{1} << 31 &&
         std::has_single_bit(static_cast<std::uint64_t>(qkv.size(4)));
}

Normed normed(const Residual& residual, const LayerNorm& norm, const Modulations& m,
              const std::optional<RowFormat>& format) {
  const at::Tensor x = residual.x.contiguous();
  const Modulations& gates = residual.gates;
  Normed made{.sum = x, .rows = {}};
  cuda::NormModulateCall call{.rows = rows_of(x, m),
                              .x = x.const_data_ptr(),
                              .update = nullptr,
                              .weight = norm.weight.const_data_ptr(),
                              .bias = norm.bias.const_data_ptr(),
                              .shift = {m.text.shift.const_data_ptr(), m.video.shift.const_data_ptr()},
                              .scale = {m.text.scale.const_data_ptr(), m.video.scale.const_data_ptr()},
                              .gate = {},
                              .gate_stride = 0,
                              .sum = nullptr,
                              .y = nullptr,
                              .to = {},
                              .eps = static_cast<float>(norm.eps)};
  at::Tensor update;
  if (residual.update.defined()) {
    update = residual.update.contiguous();
    made.sum = at::empty_like(x);
    call.update = update.const_data_ptr();
    call.gate[0] = gates.text.gate.const_data_ptr();
    call.gate[1] = gates.video.gate.const_data_ptr();
    call.gate_stride = gates.video.gate.stride(0);
    call.sum = made.sum.mutable_data_ptr();
  }
  if (format) {
    const QuantizedRows rows = cuda::room_in_eight_bits(x.flatten(0, 1), format->precision);
    call.to = cuda::eight_bits(rows, format->largest);
    made.rows = rows;
  } else {
    const at::Tensor rows = at::empty_like(x);
    call.y = rows.mutable_data_ptr();
    made.rows = rows;
  }
  cuda::check_rows(cuda::loaded_rows().norm_modulate(call, cuda::current_stream(x)), "modulated norm");
  return made;
}

at::Tensor gated_add(const at::Tensor& x, const at::Tensor& update, const Modulations& m) {
  at::Tensor y = at::empty_like(x);
  const cuda::GatedAddCall call{.rows = rows_of(x, m),
                                .x = x.const_data_ptr(),
                                .update = update.const_data_ptr(),
                                .gate = {m.text.gate.const_data_ptr(), m.video.gate.const_data_ptr()},
                                .y = y.mutable_data_ptr()};
  cuda::check_rows(cuda::loaded_rows().gated_add(call, cuda::current_stream(x)), "gated add");
  return y;
}

QueryKeyValue split_heads(const at::Tensor& qkv, const LayerNorm& norm_q, const LayerNorm& norm_k, const Rotary& rotary,
                          std::int64_t text_tokens) {
  const std::int64_t clips = qkv.size(0), tokens = qkv.size(1), heads = qkv.size(3), dim = qkv.size(4);
  at::Tensor q = at::empty({clips, heads, tokens, dim}, qkv.options()), k = at::empty_like(q);
  const bool rotated = rotary.cos.defined();
  const cuda::NormRotateCall call{.rows = {.element = cuda::row_element(qkv),
                                           .clips = small(clips),
                                           .tokens = small(tokens),
                                           .text_tokens = small(text_tokens),
                                           .dim = small(dim),
                                           .modulation_stride = 0},
                                  .heads = small(heads),
                                  .qkv = qkv.const_data_ptr(),
                                  .weight = {norm_q.weight.const_data_ptr(), norm_k.weight.const_data_ptr()},
                                  .bias = {norm_q.bias.const_data_ptr(), norm_k.bias.const_data_ptr()},
                                  .cos = rotated ? rotary.cos.const_data_ptr<float>() : nullptr,
                                  .sin = rotated ? rotary.sin.const_data_ptr<float>() : nullptr,
                                  .out = {q.mutable_data_ptr(), k.mutable_data_ptr()},
                                  .eps = {static_cast<float>(norm_q.eps), static_cast<float>(norm_k.eps)}};
  cuda::check_rows(cuda::loaded_rows().norm_rotate(call, cuda::current_stream(qkv)), "norm and rotation of heads");
  return {q, k, qkv.select(2, 2).transpose(1, 2)};
}

}  // namespace bitreel::on_cuda
