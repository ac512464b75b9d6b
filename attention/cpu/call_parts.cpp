#include "attention/cpu/call_parts.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace bitreel::cpu {
namespace {

Element element_of(at::ScalarType type) {
  if (type == at::kHalf) return Element::fp16;
  return type == at::kBFloat16 ? Element::bf16 : Element::fp32;
}

Rows rows_of(const at::Tensor& x, std::int64_t batch, std::int64_t head) {
  const auto* const data = static_cast<const char*>(x.const_data_ptr());
  const std::int64_t offset = batch * x.stride(0) + head * x.stride(1);
  return {data + offset * x.element_size(), x.stride(2), element_of(x.scalar_type())};
}

}  // namespace

std::string common_refusal(const AttendCall& call) {
  const at::ScalarType type = call.q.scalar_type();
  const std::int64_t dim = call.q.size(3);
  if (type != at::kFloat && type != at::kHalf && type != at::kBFloat16) {
    return fmt::format("{} tensors, expected float, half or bfloat16", c10::toString(type));
  }
  if (dim > largest_dim || dim == 0) return fmt::format("a head dimension of {}, expected 1 to {}", dim, largest_dim);
  if (call.k.size(2) > std::numeric_limits<std::int32_t>::max() - largest_key_block) return "2^31 keys or more";
  if (call.bias.defined()) return "a bias on the logits";
  return {};
}

CallParts::CallParts(const AttendCall& call, std::int64_t queries_of_block)
    : call_(call),
      queries_of_block_(queries_of_block),
      blocks_of_head_((call.q.size(2) + queries_of_block - 1) / queries_of_block),
      blocks_(call.q.size(1) / call.k.size(1) * blocks_of_head_) {
  const at::Tensor mask = call.key_mask.defined() ? call.key_mask.contiguous() : at::Tensor();
  for (std::int64_t b = 0; b < call.q.size(0); ++b) visible_.push_back(visibility(mask.defined() ? mask[b] : mask));
}

CallParts::Visibility CallParts::visibility(const at::Tensor& mask) const {
  const std::int64_t queries = call_.q.size(2), keys = call_.k.size(2);
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
    const std::int64_t sees =
        call_.causality == Causality::none ? keys : std::clamp<std::int64_t>(query + 1 + keys - queries, 0, keys);
    v.seen[static_cast<std::size_t>(query)] = before[static_cast<std::size_t>(sees)];
  }
  return v;
}

std::int64_t CallParts::most_keys() const {
  return std::ranges::max(visible_, {}, &Visibility::count).count;
}

std::int64_t CallParts::together(std::int64_t fit) const {
  return std::clamp<std::int64_t>(std::max<std::int64_t>(fit, at::get_num_threads()), 1, key_heads());
}

KeysAndValues CallParts::keys_and_values(std::int64_t key_head) const {
  const Visibility& visible = visible_to(key_head);
  const std::int64_t heads = call_.k.size(1), batch = key_head / heads, head = key_head % heads;
  return {.k = rows_of(call_.k, batch, head),
          .v = rows_of(call_.v, batch, head),
          .kept = visible.kept.empty() ? nullptr : visible.kept.data(),
          .count = visible.count,
          .dim = static_cast<int>(call_.k.size(3))};
}

Queries CallParts::queries(std::int64_t block) const {
  const std::int64_t heads = call_.q.size(1), nth = block / blocks_of_head_, batch = nth / heads, head = nth % heads;
  const std::int64_t first = block % blocks_of_head_ * queries_of_block_;
  const auto from = [&](Rows rows) {
    const auto* const data = static_cast<const char*>(rows.data);
    return Rows{data + first * rows.stride * call_.q.element_size(), rows.stride, rows.element};
  };
  const Rows out = from(rows_of(call_.out, batch, head));
  const at::Tensor& lse = call_.log_sum_exp;
  float* const lse_row = lse.defined() ? lse.mutable_data_ptr<float>() + batch * lse.stride(0) + head * lse.stride(1) +
                                             first * lse.stride(2)
                                       : nullptr;
  return {.q = from(rows_of(call_.q, batch, head)),
          .count = std::min(queries_of_block_, call_.q.size(2) - first),
          .dim = static_cast<int>(call_.q.size(3)),
          .scale = call_.scale,
          .seen = visible_[static_cast<std::size_t>(batch)].seen.data() + first,
          .out = const_cast<void*>(out.data),
          .out_stride = out.stride,
          .log_sum_exp = lse_row,
          .log_sum_exp_stride = lse.defined() ? lse.stride(2) : 0};
}

}  // namespace bitreel::cpu
