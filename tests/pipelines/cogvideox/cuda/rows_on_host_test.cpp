// The CUDA kernels of rows_plugin.h, run on the CPU (tests/attention/cuda/cuda_on_host.h): the same source, thread by
// thread, against the composed operations. Races and misaligned accesses are for a GPU (elementwise_test.cpp).
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include "pipelines/cogvideox/elementwise.h"
#include "pipelines/layers/cuda/cuda_rows.h"
#include "tests/golden.h"

extern "C" const bitreel::cuda::RowsPlugin* bitreel_cuda_rows(std::int64_t version);

namespace bitreel {
namespace {

const cuda::RowsPlugin& row_kernels_on_host() {
  return *bitreel_cuda_rows(cuda::rows_version);
}

class RowKernelsOnHost : public testing::TestWithParam<at::ScalarType> {
 protected:
  [[nodiscard]] static at::Tensor drawn_rows(at::IntArrayRef shape, std::uint64_t seed) {
    return at::randn(shape, at::detail::createCPUGenerator(seed), at::TensorOptions(at::kFloat)).to(GetParam());
  }
  [[nodiscard]] static LayerNorm drawn_norm(std::int64_t dim) {
    LayerNorm norm;
    norm.weight = drawn_rows({dim}, 1);
    norm.bias = drawn_rows({dim}, 2);
    return norm;
  }
  [[nodiscard]] static LayerNorm in_fp32(const LayerNorm& norm) {
    LayerNorm exact = norm;
    exact.weight = norm.weight.to(at::kFloat);
    exact.bias = norm.bias.to(at::kFloat);
    return exact;
  }
  static void expect_rows_near(const at::Tensor& ours, const at::Tensor& exact) {
    EXPECT_LT(worst_share(ours, exact), 1.6e-2);
  }
  [[nodiscard]] static cuda::RowsOfClips rows_of_clips(const at::Tensor& x, int text_tokens, std::int64_t stride) {
    return {.element = cuda::row_element(x),
            .clips = static_cast<std::int32_t>(x.size(0)),
            .tokens = static_cast<std::int32_t>(x.size(1)),
            .text_tokens = text_tokens,
            .dim = static_cast<std::int32_t>(x.size(-1)),
            .modulation_stride = stride};
  }
};

TEST_P(RowKernelsOnHost, ModulateNormsInBothFormsAndGate) {
  for (const std::int64_t dim : {8, 1024, 1032, 1920, 3072, 4096, 8192}) {
    SCOPED_TRACE(testing::Message() << "rows of " << dim);
    constexpr int text_tokens = 2;
    const at::Tensor x = drawn_rows({2, 5, dim}, 3), update = drawn_rows({2, 5, dim}, 4);
    const at::Tensor six = drawn_rows({2, 1, 6 * dim}, 5);
    const std::vector<at::Tensor> parts = six.chunk(6, -1), exact = six.to(at::kFloat).chunk(6, -1);
    const Modulations modulations{
        .text = {exact[3], exact[4], exact[5]}, .video = {exact[0], exact[1], exact[2]}, .text_tokens = text_tokens};
    const LayerNorm norm = drawn_norm(dim);
    at::Tensor y = at::empty_like(x);
    cuda::NormModulateCall call{.rows = rows_of_clips(x, text_tokens, 6 * dim),
                                .x = x.const_data_ptr(),
                                .update = nullptr,
                                .weight = norm.weight.const_data_ptr(),
                                .bias = norm.bias.const_data_ptr(),
                                .shift = {parts[3].const_data_ptr(), parts[0].const_data_ptr()},
                                .scale = {parts[4].const_data_ptr(), parts[1].const_data_ptr()},
                                .gate = {parts[5].const_data_ptr(), parts[2].const_data_ptr()},
                                .gate_stride = 6 * dim,
                                .sum = nullptr,
                                .y = y.mutable_data_ptr(),
                                .to = {},
                                .eps = static_cast<float>(norm.eps)};
    ASSERT_EQ(row_kernels_on_host().norm_modulate(call, nullptr), 0);
    expect_rows_near(y, modulated_norm(in_fp32(norm), x.to(at::kFloat), modulations, Elementwise::composed));

    at::Tensor sum = at::empty_like(x);
    const cuda::GatedAddCall gate{.rows = call.rows,
                                  .x = x.const_data_ptr(),
                                  .update = update.const_data_ptr(),
                                  .gate = {call.gate[0], call.gate[1]},
                                  .y = sum.mutable_data_ptr()};
    ASSERT_EQ(row_kernels_on_host().gated_add(gate, nullptr), 0);
    expect_rows_near(sum, gated_add(x.to(at::kFloat), update.to(at::kFloat), modulations, Elementwise::composed));

    // All at once, to the bits of one after the other.
    at::Tensor of_sum = at::empty_like(x), summed = at::empty_like(x);
    cuda::NormModulateCall apart = call, together = call;
    apart.x = sum.const_data_ptr();
    apart.y = of_sum.mutable_data_ptr();
    ASSERT_EQ(row_kernels_on_host().norm_modulate(apart, nullptr), 0);
    together.update = update.const_data_ptr();
    together.sum = summed.mutable_data_ptr();
    ASSERT_EQ(row_kernels_on_host().norm_modulate(together, nullptr), 0);
    EXPECT_TRUE(at::equal(summed, sum));
    EXPECT_TRUE(at::equal(y, of_sum));
    together.y = nullptr;
    for (const auto& [precision, largest] : {std::pair{LinearPrecision::int8, 127.0}, {LinearPrecision::fp8, 448.0}}) {
      const QuantizedRows expected = quantize_rows(of_sum.flatten(0, 1), {precision, largest});
      const QuantizedRows room = cuda::room_in_eight_bits(x.flatten(0, 1), precision);
      together.to = cuda::eight_bits(room, largest);
      ASSERT_EQ(row_kernels_on_host().norm_modulate(together, nullptr), 0);
      EXPECT_TRUE(at::equal(room.values.to(at::kFloat), expected.values.to(at::kFloat))) << name_of(precision);
      EXPECT_TRUE(at::equal(room.scales, expected.scales)) << name_of(precision);
    }
  }
}

TEST_P(RowKernelsOnHost, NormAndRotateHeads) {
  for (const std::int64_t dim : {16, 64}) {
    constexpr std::int64_t tokens = 11, text_tokens = 3, heads = 3;
    const at::Tensor qkv = drawn_rows({2, tokens, 3, heads, dim}, 6);
    const at::Tensor angle = drawn_rows({tokens - text_tokens, dim / 2}, 7).to(at::kFloat);
    const Rotary rotary{.cos = at::cos(angle), .sin = at::sin(angle)};
    const LayerNorm norm = drawn_norm(dim);
    at::Tensor q = at::empty({2, heads, tokens, dim}, qkv.options()), k = at::empty_like(q);
    cuda::RowsOfClips rows = rows_of_clips(qkv, text_tokens, 0);
    const cuda::NormRotateCall call{.rows = rows,
                                    .heads = heads,
                                    .qkv = qkv.const_data_ptr(),
                                    .weight = {norm.weight.const_data_ptr(), norm.weight.const_data_ptr()},
                                    .bias = {norm.bias.const_data_ptr(), norm.bias.const_data_ptr()},
                                    .cos = rotary.cos.const_data_ptr<float>(),
                                    .sin = rotary.sin.const_data_ptr<float>(),
                                    .out = {q.mutable_data_ptr(), k.mutable_data_ptr()},
                                    .eps = {static_cast<float>(norm.eps), static_cast<float>(norm.eps)}};
    ASSERT_EQ(row_kernels_on_host().norm_rotate(call, nullptr), 0);
    const LayerNorm exact = in_fp32(norm);
    const QueryKeyValue composed =
        split_heads(qkv.to(at::kFloat), exact, exact, rotary, text_tokens, Elementwise::composed);
    expect_rows_near(q, composed.q);
    expect_rows_near(k, composed.k);
  }
}

// Itself exactly as quantized without a kernel; GELU, whose last bit may be another, within a step of 8 bits.
TEST_P(RowKernelsOnHost, QuantizeRowsAndTheirGelu) {
  for (const std::int64_t dim : {8, 1024, 1920, 7680, 12288, 12296}) {
    const at::Tensor x = drawn_rows({3, dim}, 8) * at::tensor({1e-2, 1.0, 30.0}).to(GetParam()).unsqueeze(1);
    for (const auto& [precision, largest] : {std::pair{LinearPrecision::int8, 127.0}, {LinearPrecision::fp8, 448.0}}) {
      SCOPED_TRACE(testing::Message() << "rows of " << dim << ", " << name_of(precision));
      const QuantizedRows room = cuda::room_in_eight_bits(x, precision);
      cuda::QuantizeCall call{.element = cuda::row_element(x),
                              .before = cuda::BeforeQuantizing::nothing,
                              .rows = x.size(0),
                              .dim = static_cast<std::int32_t>(dim),
                              .x = x.const_data_ptr(),
                              .to = cuda::eight_bits(room, largest)};
      ASSERT_EQ(row_kernels_on_host().quantize(call, nullptr), 0);
      const QuantizedRows expected = quantize_rows(x, {precision, largest});
      EXPECT_TRUE(at::equal(room.values.to(at::kFloat), expected.values.to(at::kFloat)));
      EXPECT_TRUE(at::equal(room.scales, expected.scales));

      call.before = cuda::BeforeQuantizing::gelu_tanh;
      ASSERT_EQ(row_kernels_on_host().quantize(call, nullptr), 0);
      const QuantizedRows of_gelu = quantize_rows(x, {precision, largest}, RowActivation::gelu_tanh);
      EXPECT_TRUE(at::allclose(room.scales, of_gelu.scales, /*rtol=*/8e-3, /*atol=*/0));
      const at::Tensor ours = room.values.to(at::kFloat), plain = of_gelu.values.to(at::kFloat);
      const double step = precision == LinearPrecision::fp8 ? 0.13 : 0;  // between two e4m3 numbers
      EXPECT_TRUE(((ours - plain).abs() <= 1.01 + step * plain.abs()).all().item<bool>());
      EXPECT_GT((ours == plain).to(at::kFloat).mean().item<double>(), 0.95);
    }
  }
}

TEST_P(RowKernelsOnHost, QuantizeNaNToAScaleOfNaN) {
  at::Tensor x = drawn_rows({2, 64}, 9);
  x[0][5] = std::numeric_limits<float>::quiet_NaN();
  const QuantizedRows room = cuda::room_in_eight_bits(x, LinearPrecision::fp8);
  const cuda::QuantizeCall call{.element = cuda::row_element(x),
                                .before = cuda::BeforeQuantizing::gelu_tanh,
                                .rows = 2,
                                .dim = 64,
                                .x = x.const_data_ptr(),
                                .to = cuda::eight_bits(room, 448)};
  ASSERT_EQ(row_kernels_on_host().quantize(call, nullptr), 0);
  EXPECT_TRUE(at::isnan(room.scales[0]).item<bool>());
  EXPECT_FALSE(at::isnan(room.scales[1]).item<bool>());
}

INSTANTIATE_TEST_SUITE_P(Dtypes, RowKernelsOnHost, testing::Values(at::kBFloat16, at::kHalf),
                         [](const auto& info) { return std::string(c10::toString(info.param)); });

}  // namespace
}  // namespace bitreel
