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

// Into y, or where there is none in 8 bits.
void launch(const LayerNorm& norm, const at::Tensor& x, const Modulations& m, void* y, const cuda::EightBits& to) {
  const cuda::NormModulateCall call{.rows = rows_of(x, m),
                                    .x = x.const_data_ptr(),
                                    .weight = norm.weight.const_data_ptr(),
                                    .bias = norm.bias.const_data_ptr(),
                                    .shift = {m.text.shift.const_data_ptr(), m.video.shift.const_data_ptr()},
                                    .scale = {m.text.scale.const_data_ptr(), m.video.scale.const_data_ptr()},
                                    .y = y,
                                    .to = to,
                                    .eps = static_cast<float>(norm.eps)};
  cuda::check_rows(cuda::loaded_rows().norm_modulate(call, cuda::current_stream(x)), "modulated norm");
}

}  // namespace

bool takes_rows(const at::Tensor& x) {
  return cuda::rows_take(x) && x.size(2) <= cuda::widest_row;
}

bool takes_heads(const at::Tensor& qkv) {
  return cuda::rows_take(qkv) && qkv.size(4) <= cuda::widest_head &&
         std::has_single_bit(static_cast<std::uint64_t>(qkv.size(4)));
}

at::Tensor modulated_norm(const LayerNorm& norm, const at::Tensor& x, const Modulations& m) {
  at::Tensor y = at::empty_like(x);
  launch(norm, x, m, y.mutable_data_ptr(), {});
  return y;
}

QuantizedRows modulated_norm(const LayerNorm& norm, const at::Tensor& x, const Modulations& m,
                             const RowFormat& format) {
  const QuantizedRows rows = cuda::room_in_eight_bits(x.flatten(0, 1), format.precision);
  launch(norm, x, m, nullptr, cuda::eight_bits(rows, format.largest));
  return rows;
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
