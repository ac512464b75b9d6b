#include "tests/attention/packed_checks.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "attention/torch/quantize.h"

namespace bitreel {
namespace {

// Places of each sixteen keys in bytes (attention/cuda/packed.h).
at::Tensor in_order_of_keys(const at::Tensor& bytes) {
  const at::Tensor order = at::tensor({0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15}, at::kLong);
  const at::Tensor back = at::argsort(order).to(bytes.device());
  return bytes.unflatten(-1, {-1, 16}).index_select(-1, back).flatten(-2);
}

at::Tensor whole_bytes(const at::Tensor& halves) {
  const at::Tensor low = at::bitwise_left_shift(halves, 4).bitwise_right_shift(4), high = halves.bitwise_right_shift(4);
  return at::stack({low, high}, -1).flatten(-2);
}

}  // namespace

// Scales of queries may round another way: they have a factor more.
void expect_integers_of_oracle(const cuda::PackedTensors& packed, const AttendCall& call, std::int64_t head) {
  const Recipe& recipe = *call.recipe;
  const std::int64_t key_head = head / (call.q.size(1) / call.k.size(1));
  const at::Tensor kept =
      call.key_mask.defined() ? at::nonzero(call.key_mask[0]).squeeze(1) : at::arange(call.k.size(2), call.k.device());
  const at::Tensor q = call.q[0][head], k = call.k[0][key_head].index_select(0, kept),
                   v = call.v[0][key_head].index_select(0, kept);
  const QuantizedTokens of_q = quantize_queries(q.cpu(), recipe), of_k = quantize_keys(k.cpu(), recipe);
  const QuantizedValues of_v = quantize_values(v.cpu(), recipe);
  const std::int64_t queries = q.size(0), keys = k.size(0), dim = q.size(1);
  const auto integers = [&](const at::Tensor& of_batch, std::int64_t of, std::int64_t tokens) {
    const at::Tensor of_head = of_batch[0][of].cpu();
    const bool halves = of_head.size(1) < packed.v_scales.size(2);
    const at::Tensor each = halves ? whole_bytes(of_head) : of_head.to(at::kFloat).to(at::kChar);
    return each.slice(0, 0, tokens).slice(1, 0, dim);
  };
  EXPECT_TRUE(at::equal(integers(packed.q, head, queries), of_q.integers));
  EXPECT_TRUE(at::equal(integers(packed.k, key_head, keys), of_k.integers));
  EXPECT_TRUE(at::equal(packed.k_mean[0][key_head].cpu().slice(0, 0, dim), of_k.mean[0]));
  EXPECT_TRUE(at::equal(packed.v_mean[0][key_head].cpu().slice(0, 0, dim), of_v.mean));
  EXPECT_TRUE(at::equal(packed.v_scales[0][key_head].cpu().slice(0, 0, dim), of_v.scales));
  const at::Tensor q_scales = of_q.scales * static_cast<float>(call.scale * std::log2(std::exp(1.0)));
  EXPECT_TRUE(at::allclose(packed.q_scales[0][head].cpu().slice(0, 0, queries), q_scales, 3e-7, 0));
  const at::Tensor k_scales = packed.k_scales[0][key_head].cpu();
  if (k_scales.dim() == 1) {
    EXPECT_TRUE(at::equal(k_scales.slice(0, 0, keys), of_k.scales));
  } else {
    const at::Tensor token = at::arange(keys);
    const at::Tensor at = at::floor_divide(token, 128) * 4 + at::floor_divide(token.remainder(8), 2);
    EXPECT_TRUE(at::equal(k_scales.flatten().index_select(0, at), of_k.scales));
  }

  at::Tensor values = packed.v[0][key_head].cpu();
  if (values.scalar_type() == at::kByte) {
    values = in_order_of_keys(values);
    values = values.view(recipe.pv == PvFormat::int8 ? at::kChar : at::kFloat8_e4m3fn);
  }
  values = values.to(at::kFloat);
  EXPECT_TRUE(at::equal(values.slice(0, 0, dim).slice(1, 0, keys), of_v.values.t()));
  EXPECT_EQ(values.slice(0, 0, packed.v_scales.size(2)).slice(1, keys).abs().sum().item<float>(), 0) << "padding";
  const at::Tensor extra = values.slice(0, packed.v_scales.size(2));
  EXPECT_EQ(extra.sum().item<double>(), static_cast<double>(keys)) << "ones";
  EXPECT_EQ(extra[0].slice(0, 0, keys).min().item<float>(), 1);
}

void put_values_beyond_samples(at::Tensor& v) {
  v = at::round(v * 8) / 8;
  const at::Tensor head = v[0][1];
  const std::int64_t keys = head.size(0);
  head.select(1, 3).mul_(0x1p-10);
  head[keys / 256 * 128 + 100][3] = -7;
  head[keys - 1][0] = 300;
  head.select(1, 7).zero_();
  head[100][7] = 0x1p-10;
}

}  // namespace bitreel
