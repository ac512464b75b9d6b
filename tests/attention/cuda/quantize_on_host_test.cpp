// The quantization pass of the CUDA kernels, run on the CPU (cuda_on_host.h): the same source, thread by thread, writes
// the oracle's bytes. What it can't show, such as races and misaligned accesses, is for a GPU (tests/attention/
// cuda_backend_test.cpp).
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <optional>
#include <utility>

#include "attention/cuda/quantize.cuh"
#include "attention/recipes.h"
#include "tests/attention/calls.h"
#include "tests/attention/cuda/norm_heads.h"
#include "tests/attention/packed_checks.h"

namespace bitreel {
namespace {

using cuda::IntegerFormat;
using cuda::KeyScales;
using cuda::PackedFormats;
using cuda::ValueFormat;

struct Case {
  std::string recipe;
  PackedFormats formats;
};

// Every way of writing integers, numbers and scales.
const std::vector<Case>& cases() {
  constexpr PackedFormats hopper = {
      .integers = IntegerFormat::bytes, .key_scales = KeyScales::warpgroup, .values = ValueFormat::e4m3};
  constexpr PackedFormats bytes = {
      .integers = IntegerFormat::bytes, .key_scales = KeyScales::token, .values = ValueFormat::int8};
  constexpr PackedFormats fp16 = {
      .integers = IntegerFormat::bytes, .key_scales = KeyScales::token, .values = ValueFormat::fp16};
  constexpr PackedFormats ampere = {
      .integers = IntegerFormat::halves, .key_scales = KeyScales::token, .values = ValueFormat::e4m3_in_fp16};
  static const std::vector<Case> all = {
      {"int8@cuda", hopper},
      {"int8@cuda+v-mean=subtracted", hopper},
      {"int8@cuda+k-mean=all", hopper},
      {"int8@cuda+v-scale=all", hopper},
      {"int8@cuda+smooth-v", hopper},
      {"int4@cuda", {.integers = IntegerFormat::e4m3, .key_scales = KeyScales::warpgroup, .values = ValueFormat::e4m3}},
      {"sage1-vb+smooth-v+smooth-q+v-mean=exact+v-scale=sampled", bytes},
      {"sage1-b+pv=fp16+smooth-v+v-mean=exact", fp16},
      {"sage2-4b+pv=fp8-ones-row", ampere},
      {"sage2-4b+v-scale=sampled+v-mean=exact", ampere},
      {"sage2-8b+scales=warp+smooth-k=off",
       {.integers = IntegerFormat::bytes, .key_scales = KeyScales::token, .values = ValueFormat::e4m3}},
      {"int8@cpu+smooth-v=off", bytes},
  };
  return all;
}

cuda::PackedTensors quantize_on_host(const cuda::PreparedCall& prepared, const Recipe& recipe) {
  const cuda::SourceCall& source = prepared.source();
  if (source.key_mask != nullptr) {
    EXPECT_EQ(cuda::keys_that_count(source, prepared.packed(), nullptr), cudaSuccess);
  }
  EXPECT_EQ(cuda::quantize_heads(source, recipe, prepared.packed(), nullptr), cudaSuccess);
  return prepared.tensors();
}

void expect_oracle(const Inputs& in, Asked asked, const Case& given) {
  asked.recipe = recipe_from(given.recipe, at::kCPU);
  SCOPED_TRACE(testing::Message() << given.recipe << " " << in.q.sizes() << " " << in.k.sizes() << in.q.dtype());
  const AttendCall call = call_of(in, asked);
  const cuda::PreparedCall prepared(call, given.formats);
  const cuda::PackedTensors packed = quantize_on_host(prepared, *asked.recipe);
  for (std::int64_t head = 0; head < in.q.size(1); ++head) expect_integers_of_oracle(packed, call, head);
}

TEST(QuantizePass, WritesTheOraclesBytesInEveryFormat) {
  Inputs in = cpu_inputs({.queries = 130, .keys = 600}, 21, at::kBFloat16);
  in.k.add_(3 * normal({64}, 22).to(at::kBFloat16));
  in.v.add_(0.3);
  for (const Case& given : cases()) expect_oracle(in, {}, given);
}

TEST(QuantizePass, TakesEveryShapeAndType) {
  const Shape shapes[] = {{.query_heads = 4, .key_heads = 2, .queries = 70, .keys = 129},
                          {.queries = 128, .keys = 129, .dim = 128},
                          {.queries = 5, .keys = 70, .dim = 37},
                          {.query_heads = 1, .key_heads = 1, .queries = 3, .keys = 1300}};
  for (const Shape& shape : shapes) {
    for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf, at::kFloat}) {
      Inputs in = cpu_inputs(shape, 23, dtype);
      in.v.add_(0.3);
      expect_oracle(in, {}, cases()[0]);
      expect_oracle(in, {}, cases()[6]);
    }
  }
}

TEST(QuantizePass, LeavesOutMaskedKeys) {
  const Inputs in = cpu_inputs({.queries = 20, .keys = 300}, 24, at::kBFloat16);
  expect_oracle(in, {.key_mask = random_mask(in, 0.6, 5)}, cases()[0]);
  expect_oracle(in, {.key_mask = random_mask(in, 0.01, 6)}, cases()[5]);
}

TEST(QuantizePass, RoundsValuesBeyondTheirScalesAgain) {
  for (const at::ScalarType dtype : {at::kBFloat16, at::kFloat}) {
    for (const std::int64_t dim : {64, 128}) {
      Inputs in = cpu_inputs({.query_heads = 4, .key_heads = 2, .queries = 10, .keys = 1500, .dim = dim}, 27, dtype);
      put_values_beyond_samples(in.v);
      for (const Case& given : cases()) expect_oracle(in, {}, given);
    }
  }
}

// What the arrays of a batch hold, it holds alone too.
TEST(QuantizePass, TakesBatchesApart) {
  const Inputs in =
      cpu_inputs({.batch = 2, .query_heads = 4, .key_heads = 2, .queries = 140, .keys = 270}, 26, at::kBFloat16);
  const Inputs second = {in.q.slice(0, 1), in.k.slice(0, 1), in.v.slice(0, 1)};
  for (const Case& given : cases()) {
    SCOPED_TRACE(given.recipe);
    const Asked asked = {.recipe = recipe_from(given.recipe, at::kCPU)};
    const cuda::PreparedCall both(call_of(in, asked), given.formats), alone(call_of(second, asked), given.formats);
    const cuda::PackedTensors a = quantize_on_host(both, *asked.recipe), b = quantize_on_host(alone, *asked.recipe);
    const auto same = [](const at::Tensor& of_both, const at::Tensor& of_one) {
      return at::equal(of_both[1].contiguous().view(at::kByte), of_one[0].contiguous().view(at::kByte));
    };
    EXPECT_TRUE(same(a.q, b.q) && same(a.q_scales, b.q_scales));
    EXPECT_TRUE(same(a.k, b.k) && same(a.k_scales, b.k_scales) && same(a.k_mean, b.k_mean));
    EXPECT_TRUE(same(a.v, b.v) && same(a.v_scales, b.v_scales) && same(a.v_mean, b.v_mean));
  }
}

// Queries of zeros have integers of zeros; the others of the block are as if they were that.
TEST(QuantizePass, MarksBrokenQueriesAndHeads) {
  Inputs in = cpu_inputs({.query_heads = 2, .key_heads = 2, .queries = 140, .keys = 150}, 25, at::kBFloat16);
  in.q[0][0][7][3] = std::numeric_limits<double>::quiet_NaN();
  in.q[0][1][130][60] = std::numeric_limits<double>::infinity();
  in.v[0][1][149][5] = -std::numeric_limits<double>::infinity();
  Inputs mended = in;
  mended.q = in.q.clone();
  mended.q[0][0][7] = 0;
  at::Tensor broken = at::zeros({1, 2, 256}, at::kBool);
  broken[0][0][7] = broken[0][1][130] = true;
  for (const Case& given : {cases()[0], cases()[3], cases()[7]}) {  // the last smooths queries
    SCOPED_TRACE(given.recipe);
    const Asked asked = {.recipe = recipe_from(given.recipe, at::kCPU)};
    const cuda::PreparedCall prepared(call_of(in, asked), given.formats);
    const cuda::PackedTensors packed = quantize_on_host(prepared, *asked.recipe);
    EXPECT_TRUE(at::equal(packed.q_scales.isnan(), broken));
    EXPECT_TRUE(packed.v_scales[0][1].isnan().all().item<bool>());
    EXPECT_FALSE(packed.v_scales[0][0].isnan().any().item<bool>());
    const cuda::PreparedCall again(call_of(mended, asked), given.formats);
    EXPECT_TRUE(at::equal(quantize_on_host(again, *asked.recipe).q[0][0], packed.q[0][0]));
  }
}

// Heads as one projection of them makes them: [B, N, 3, H, D], seen as three of [B, H, N, D].
struct Projected {
  Inputs in;
  HeadNorms norms;
};

Projected projected(std::int64_t tokens, std::int64_t dim, std::int64_t first_rotated, at::ScalarType dtype) {
  const at::Tensor qkv = (2 * normal({2, tokens, 3, 2, dim}, 31) + 0.5).to(dtype);
  const auto heads = [&](std::int64_t which) { return qkv.select(2, which).transpose(1, 2); };
  const auto norm = [&](std::uint64_t seed) {
    return HeadNorms::Norm{
        .weight = (1 + 0.3 * normal({dim}, seed)).to(dtype), .bias = normal({dim}, seed + 1).to(dtype), .eps = 1e-6};
  };
  Projected made{.in = {heads(0), heads(1), heads(2)}, .norms = {.q = norm(32), .k = norm(34)}};
  if (first_rotated < tokens) {
    const at::Tensor angles = normal({tokens - first_rotated, dim / 2}, 36);
    made.norms.cos = angles.cos();
    made.norms.sin = angles.sin();
    made.norms.first_rotated = first_rotated;
  }
  return made;
}

// As LibTorch's operations have it, in fp64, rounded once.
at::Tensor normed_by(const at::Tensor& x, const HeadNorms::Norm& norm, const HeadNorms& norms) {
  const at::Tensor y =
      at::layer_norm(x.to(at::kDouble), {x.size(3)}, norm.weight.to(at::kDouble), norm.bias.to(at::kDouble), norm.eps);
  if (!norms.cos.defined()) return y.to(x.scalar_type());
  const at::Tensor video = y.slice(2, norms.first_rotated), pairs = video.unflatten(3, {-1, 2});
  const auto of_both = [](const at::Tensor& of_pairs) { return of_pairs.repeat_interleave(2, 1); };
  const at::Tensor turned = at::stack({-pairs.select(-1, 1), pairs.select(-1, 0)}, -1).flatten(3);
  return at::cat({y.slice(2, 0, norms.first_rotated), video * of_both(norms.cos) + turned * of_both(norms.sin)}, 2)
      .to(x.scalar_type());
}

cuda::PackedTensors quantize_projected(const Projected& given, const PackedFormats& formats, const Recipe& recipe,
                                       std::optional<cuda::PreparedCall>& prepared) {
  AttendCall call = call_of(given.in, {.recipe = recipe});
  call.log_sum_exp.reset();
  call.norms = given.norms;
  prepared.emplace(call, formats);
  return quantize_on_host(*prepared, recipe);
}

// Normed by the pass's own arithmetic.
at::Tensor normed_on_host(const at::Tensor& x, const cuda::Rows& rows, const cuda::NormOfHead& norm,
                          const cuda::SourceCall& source) {
  at::Tensor out = at::empty(x.sizes(), x.options());
  const auto size = [&](std::int64_t i) { return static_cast<int>(x.size(i)); };
  cuda::norm_heads(rows, source.element, size(0), size(1), size(2), size(3), norm, source.norms, out.data_ptr());
  return out;
}

// The pass's norms are LibTorch's to their type's rounding; all else is, byte for byte, what it makes of such queries
// and keys that come normed.
TEST(QuantizePass, NormsProjectionsOnTheWay) {
  struct Of {
    std::int64_t tokens, dim, first_rotated;
    at::ScalarType dtype;
  };
  for (const Of& of : {Of{600, 64, 226, at::kBFloat16}, Of{130, 64, 130, at::kHalf}, Of{77, 128, 0, at::kBFloat16}}) {
    for (const Case& given : {cases()[0], cases()[2], cases()[3], cases()[4], cases()[5]}) {
      SCOPED_TRACE(testing::Message() << given.recipe << " " << of.tokens << " x " << of.dim << " " << of.dtype);
      const Recipe recipe = recipe_from(given.recipe, at::kCPU);
      const Projected both = projected(of.tokens, of.dim, of.first_rotated, of.dtype);
      std::optional<cuda::PreparedCall> prepared, apart;
      Inputs normed = both.in;
      const cuda::PackedTensors packed = quantize_projected(both, given.formats, recipe, prepared);
      const cuda::SourceCall& source = prepared->source();
      normed.q = normed_on_host(both.in.q, source.q, source.norms.q, source);
      normed.k = normed_on_host(both.in.k, source.k, source.norms.k, source);
      const double ulp = of.dtype == at::kBFloat16 ? 0x1p-8 : 0x1p-11;
      EXPECT_TRUE(at::allclose(normed.k, normed_by(both.in.k, both.norms.k, both.norms), 2 * ulp, ulp));
      EXPECT_TRUE(at::allclose(normed.q, normed_by(both.in.q, both.norms.q, both.norms), 2 * ulp, ulp));

      apart.emplace(call_of(normed, {.recipe = recipe}), given.formats);
      const cuda::PackedTensors expected = quantize_on_host(*apart, recipe);
      const auto same = [](const at::Tensor& a, const at::Tensor& b) {
        return at::equal(a.contiguous().view(at::kByte), b.contiguous().view(at::kByte));
      };
      EXPECT_TRUE(same(packed.q, expected.q));
      EXPECT_TRUE(same(packed.q_scales, expected.q_scales));
      EXPECT_TRUE(same(packed.k, expected.k) && same(packed.k_scales, expected.k_scales));
      EXPECT_TRUE(same(packed.k_mean, expected.k_mean));
      EXPECT_TRUE(same(packed.v, expected.v) && same(packed.v_scales, expected.v_scales));
      EXPECT_TRUE(same(packed.v_mean, expected.v_mean));
    }
  }
}

TEST(QuantizePass, MarksBrokenProjections) {
  Projected given = projected(140, 64, 20, at::kBFloat16);
  given.in.q[0][1][7][3] = std::numeric_limits<double>::quiet_NaN();
  const Recipe recipe = recipe_from("int8@cuda", at::kCPU);
  std::optional<cuda::PreparedCall> prepared, other;
  const cuda::PackedTensors packed = quantize_projected(given, cases()[0].formats, recipe, prepared);
  at::Tensor broken = at::zeros({2, 2, 256}, at::kBool);
  broken[0][1][7] = true;
  EXPECT_TRUE(at::equal(packed.q_scales.isnan(), broken));
  EXPECT_FALSE(packed.q[0][1][7].any().item<bool>());
  EXPECT_FALSE(packed.v_scales.isnan().any().item<bool>());
  given.in.k[1][0][127][5] = std::numeric_limits<double>::infinity();
  const cuda::PackedTensors of_keys = quantize_projected(given, cases()[0].formats, recipe, other);
  EXPECT_TRUE(of_keys.v_scales[1][0].isnan().all().item<bool>());
  EXPECT_FALSE(of_keys.v_scales[1][1].isnan().any().item<bool>());
}

}  // namespace
}  // namespace bitreel
