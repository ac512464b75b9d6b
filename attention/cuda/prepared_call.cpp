#include "attention/cuda/prepared_call.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <type_traits>
#include <vector>

namespace bitreel::cuda {
namespace {

Element element_of(at::ScalarType type) {
  if (type == at::kHalf) return Element::fp16;
  return type == at::kBFloat16 ? Element::bf16 : Element::fp32;
}

Rows rows_of(const at::Tensor& x) {
  return {
      .data = x.const_data_ptr(), .batch_stride = x.stride(0), .head_stride = x.stride(1), .token_stride = x.stride(2)};
}

NormOfHead norm_of(const HeadNorms::Norm& norm) {
  return {
      .weight = norm.weight.const_data_ptr(), .bias = norm.bias.const_data_ptr(), .eps = static_cast<float>(norm.eps)};
}

// One piece of memory for everything that a call needs, cut into arrays at multiples of 256 bytes.
class Layout {
 public:
  // Asks for room of so many elements (bytes where the type is void); the array is there after cut().
  template <class T>
  void want(T*& array, std::int64_t elements) {
    constexpr std::int64_t size = sizeof(std::conditional_t<std::is_void_v<T>, std::uint8_t, T>);
    const std::int64_t offset = bytes_;
    wanted_.emplace_back([&array, offset](std::uint8_t* base) { array = reinterpret_cast<T*>(base + offset); });
    bytes_ += (elements * size + 255) / 256 * 256;
  }
  at::Tensor cut(at::Device device) const {
    at::Tensor memory = at::empty({bytes_}, at::TensorOptions(at::kByte).device(device));
    for (const auto& point : wanted_) point(memory.mutable_data_ptr<std::uint8_t>());
    return memory;
  }

 private:
  std::vector<std::function<void(std::uint8_t* base)>> wanted_;
  std::int64_t bytes_ = 0;
};

}  // namespace

PackedCall shape_of(const AttendCall& call, const PackedFormats& formats) {
  const auto int32 = [](std::int64_t x) { return static_cast<std::int32_t>(x); };
  PackedCall packed{};
  packed.batch = int32(call.q.size(0));
  packed.query_heads = int32(call.q.size(1));
  packed.key_heads = int32(call.k.size(1));
  packed.queries = int32(call.q.size(2));
  packed.keys = int32(call.k.size(2));
  packed.dim = call.q.size(3) <= 64 ? 64 : 128;
  packed.out_dim = int32(call.q.size(3));
  packed.causal = call.causality == Causality::bottom_right ? 1 : 0;
  packed.key_scales = formats.key_scales;
  packed.integers = formats.integers;
  packed.values = formats.values;
  packed.element = element_of(call.q.scalar_type());
  packed.head_count = packed.batch * packed.query_heads;
  return packed;
}

PreparedCall::PreparedCall(const AttendCall& call, const PackedFormats& formats) : packed_(shape_of(call, formats)) {
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

  const std::int64_t query_heads = std::int64_t{packed_.batch} * packed_.query_heads;
  const std::int64_t key_heads = std::int64_t{packed_.batch} * packed_.key_heads;
  const std::int64_t queries = padded(packed_.queries), keys = padded(packed_.keys), dim = packed_.dim;
  const QuantizationMemory need = quantization_memory(packed_);
  Layout layout;
  layout.want(packed_.q, query_heads * queries * dim);
  layout.want(packed_.k, key_heads * keys * dim);
  layout.want(packed_.v, key_heads * (dim + extra_rows) * keys * value_bytes());
  layout.want(packed_.q_scales, query_heads * queries);
  layout.want(packed_.k_scales, key_heads * keys);
  layout.want(packed_.v_scales, key_heads * dim);
  layout.want(packed_.v_mean, key_heads * dim);
  layout.want(packed_.k_mean, key_heads * dim);
  layout.want(source_.sums, need.sums);
  layout.want(source_.extremes, need.extremes);
  layout.want(source_.v_divisors, need.of_channels);
  layout.want(source_.v_offsets, need.of_channels);
  if (call.norms) {
    source_.norms = {.q = norm_of(call.norms->q),
                     .k = norm_of(call.norms->k),
                     .cos = call.norms->cos.defined() ? call.norms->cos.const_data_ptr<float>() : nullptr,
                     .sin = call.norms->sin.defined() ? call.norms->sin.const_data_ptr<float>() : nullptr,
                     .first_rotated = static_cast<std::int32_t>(call.norms->first_rotated)};
  }
  const bool exact = call.recipe->v_mean == ValueMean::exact, sampled = has_sampled_scale(*call.recipe);
  if (exact) layout.want(source_.v_sums, need.of_channels * (sampled ? 2 : 1));
  if (sampled) {
    layout.want(source_.v_most, need.of_channels);
    layout.want(source_.v_beyond, need.of_channels);
    if (exact) layout.want(source_.v_block_sums, need.of_blocks);
  }
  if (call.log_sum_exp.defined()) layout.want(packed_.lse_shift, query_heads * queries);
  if (call.key_mask.defined()) {
    layout.want(source_.kept, std::int64_t{packed_.batch} * packed_.keys);
    layout.want(packed_.keys_seen, std::int64_t{packed_.batch} * (packed_.keys + 1));
    layout.want(packed_.key_count, packed_.batch);
  }
  heads_at_once_ = packed_.head_count;
  if (call.recipe->smooth_q == Smoothing::on) {
    const std::int64_t of_head = queries / block_tokens * keys;
    const std::int64_t fit = std::max<std::int64_t>(1, bias_bytes / (of_head * 4));
    heads_at_once_ = static_cast<std::int32_t>(std::min(query_heads, fit));
    layout.want(packed_.q_means, query_heads * queries / block_tokens * dim);
    layout.want(packed_.qk_bias, heads_at_once_ * of_head);
  }
  memory_ = layout.cut(call.q.device());
}

PackedCall PreparedCall::heads(std::int32_t first, std::int32_t count) const {
  PackedCall some = packed_;
  some.first_head = first;
  some.head_count = count;
  return some;
}

PackedTensors PreparedCall::tensors() const {
  const std::int64_t b = packed_.batch, hq = packed_.query_heads, hkv = packed_.key_heads, dim = packed_.dim;
  const std::int64_t queries = padded(packed_.queries), keys = padded(packed_.keys);
  const std::vector<std::int64_t> of_groups = {b, hkv, keys / block_tokens, 4}, of_tokens = {b, hkv, keys};
  const std::int64_t row = packed_.integers == IntegerFormat::halves ? dim / 2 : dim;
  const at::ScalarType integers = packed_.integers == IntegerFormat::e4m3 ? at::kFloat8_e4m3fn : at::kChar;
  return {.q = view(packed_.q, {b, hq, queries, row}, integers),
          .q_scales = view(packed_.q_scales, {b, hq, queries}, at::kFloat),
          .k = view(packed_.k, {b, hkv, keys, row}, integers),
          .k_scales =
              view(packed_.k_scales, packed_.key_scales == KeyScales::warpgroup ? of_groups : of_tokens, at::kFloat),
          .v = view(packed_.v, {b, hkv, dim + extra_rows, keys}, value_bytes() == 1 ? at::kByte : at::kHalf),
          .v_scales = view(packed_.v_scales, {b, hkv, dim}, at::kFloat),
          .v_mean = view(packed_.v_mean, {b, hkv, dim}, at::kFloat),
          .k_mean = view(packed_.k_mean, {b, hkv, dim}, at::kFloat)};
}

std::int64_t PreparedCall::value_bytes() const {
  return packed_.values == ValueFormat::int8 || packed_.values == ValueFormat::e4m3 ? 1 : 2;
}

at::Tensor PreparedCall::view(const void* array, at::IntArrayRef sizes, at::ScalarType type) const {
  const std::int64_t offset = static_cast<const std::uint8_t*>(array) - memory_.const_data_ptr<std::uint8_t>();
  const std::int64_t bytes = std::accumulate(sizes.begin(), sizes.end(), std::int64_t{1}, std::multiplies<>()) *
                             static_cast<std::int64_t>(c10::elementSize(type));
  return memory_.slice(0, offset, offset + bytes).view(type).view(sizes);
}

}  // namespace bitreel::cuda
