// Products by kernels of our own against LibTorch's in double precision.
#include "pipelines/layers/panel_linear.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <type_traits>

#include "base/cpu_features.h"
#include "pipelines/layers/modules.h"
#include "pipelines/layers/products/products_units.h"
#include "tests/error_text.h"

namespace bitreel {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

at::Tensor drawn_in(at::ScalarType dtype, at::IntArrayRef shape, std::uint64_t seed) {
  return at::randn(shape, at::detail::createCPUGenerator(seed), at::TensorOptions(at::kFloat)).to(dtype);
}

at::Tensor exact_product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, Gelu gelu) {
  at::Tensor y = at::linear(x.to(at::kDouble), weight.to(at::kDouble));
  if (bias.defined()) y = y + bias.to(at::kDouble);
  return gelu == Gelu::none ? y : at::gelu(y, gelu == Gelu::tanh ? "tanh" : "none");
}

double furthest_share(const at::Tensor& got, const at::Tensor& exact) {
  return ((got.to(at::kDouble) - exact).abs().max() / exact.abs().max()).item<double>();
}

// fp32 sums in order; bf16 rounds their result, by half of a unit in the eighth bit.
double allowed_share(at::ScalarType dtype) {
  return dtype == at::kFloat ? 2e-6 : 4e-3;
}

// Panels as products.h describes them, put together number by number.
at::Tensor panels_of(const at::Tensor& weight) {
  const std::int64_t out = weight.size(0), in = weight.size(1), count = (out + panel_outputs - 1) / panel_outputs;
  at::Tensor panels = at::full({count, in, panel_outputs}, 1e6, weight.options());  // anything where there is no output
  for (std::int64_t o = 0; o < out; ++o) panels[o / panel_outputs].select(1, o % panel_outputs).copy_(weight[o]);
  return panels;
}

template <class T>
at::Tensor multiplied_by(const ProductKernels<T>& kernels, const at::Tensor& x, const at::Tensor& weight,
                         const at::Tensor& bias, Gelu gelu) {
  const at::Tensor panels = panels_of(weight);
  const ProductWeight<T> packed{.panels = static_cast<const T*>(panels.const_data_ptr()),
                                .bias = bias.defined() ? static_cast<const T*>(bias.const_data_ptr()) : nullptr,
                                .in = weight.size(1),
                                .out = weight.size(0)};
  // A row more than is asked for, which has to stay as it is.
  at::Tensor y = at::full({x.size(0) + 1, packed.out}, 7, x.options());
  kernels.multiply(static_cast<const T*>(x.const_data_ptr()), x.size(0), packed, gelu,
                   static_cast<T*>(y.mutable_data_ptr()));
  EXPECT_TRUE(at::all(y[x.size(0)] == 7).template item<bool>());
  return y.narrow(0, 0, x.size(0));
}

at::Tensor multiplied(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, Gelu gelu) {
  if (x.scalar_type() == at::kFloat) {
    return multiplied_by(products_avx2::fp32_kernels(), x, weight, bias, gelu);
  }
  return multiplied_by(products_avx2::bf16_kernels(), x, weight, bias, gelu);
}

class Products : public testing::TestWithParam<at::ScalarType> {
 protected:
  void SetUp() override {
    if (!x86_features().avx2) GTEST_SKIP() << "the processor has no AVX2 with FMA";
  }
  at::ScalarType dtype = GetParam();
};

TEST_P(Products, AreNearTheExactOnesForEveryRemainder) {
  for (const auto& [rows, in, out] : {std::tuple{1, 1, 1}, std::tuple{3, 7, 23}, std::tuple{4, 256, 24},
                                      std::tuple{5, 257, 25}, std::tuple{95, 520, 70}, std::tuple{96, 1024, 48}}) {
    const at::Tensor x = drawn_in(dtype, {rows, in}, 1), weight = drawn_in(dtype, {out, in}, 2),
                     bias = drawn_in(dtype, {out}, 3);
    for (const at::Tensor& added : {at::Tensor(), bias}) {
      for (const Gelu gelu : {Gelu::none, Gelu::erf, Gelu::tanh}) {
        SCOPED_TRACE(testing::Message() << rows << "x" << in << "x" << out << ", GELU " << static_cast<int>(gelu));
        const at::Tensor y = multiplied(x, weight, added, gelu);
        // Of one output GELU may leave nothing but what is rounded off.
        const at::Tensor exact = exact_product(x, weight, added, gelu),
                         scale = exact_product(x, weight, added, Gelu::none);
        EXPECT_LT((y.to(at::kDouble) - exact).abs().max().item<double>(),
                  allowed_share(dtype) * scale.abs().max().item<double>());
      }
    }
  }
}

// 3 to 15 % apart at these inputs.
TEST_P(Products, TellTheFormsOfGeluApart) {
  const at::Tensor x = at::zeros({4, 8}, dtype), weight = at::zeros({24, 8}, dtype);
  const at::Tensor bias = at::linspace(-3.5, -2.5, 24, at::TensorOptions(at::kFloat)).to(dtype);
  for (const auto& [gelu, other] : {std::pair{Gelu::erf, Gelu::tanh}, std::pair{Gelu::tanh, Gelu::erf}}) {
    const at::Tensor y = multiplied(x, weight, bias, gelu);
    EXPECT_LT(furthest_share(y, exact_product(x, weight, bias, gelu)),
              0.5 * furthest_share(y, exact_product(x, weight, bias, other)));
  }
}

TEST_P(Products, OfARowAreTheSameBitsAloneAndAmongOthers) {
  const at::Tensor x = drawn_in(dtype, {13, 300}, 4), weight = drawn_in(dtype, {30, 300}, 5),
                   bias = drawn_in(dtype, {30}, 6);
  const at::Tensor together = multiplied(x, weight, bias, Gelu::erf);
  for (std::int64_t row = 0; row < x.size(0); ++row) {
    EXPECT_TRUE(at::equal(multiplied(x.narrow(0, row, 1), weight, bias, Gelu::erf)[0], together[row])) << row;
  }
}

TEST_P(Products, KeepNaNAndInfinityInTheirRow) {
  at::Tensor x = drawn_in(dtype, {3, 40}, 7);
  const at::Tensor weight = drawn_in(dtype, {10, 40}, 8);
  x[0][39] = std::numeric_limits<float>::quiet_NaN();
  x[1][0] = std::numeric_limits<float>::infinity();
  const at::Tensor y = multiplied(x, weight, {}, Gelu::none);
  EXPECT_TRUE(at::all(at::isnan(y[0])).item<bool>());
  EXPECT_TRUE(at::all(at::isinf(y[1])).item<bool>());
  EXPECT_TRUE(at::all(at::isfinite(y[2])).item<bool>());
}

INSTANTIATE_TEST_SUITE_P(Dtypes, Products, testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& info) { return std::string(c10::toString(info.param)); });

class PanelLinears : public testing::TestWithParam<at::ScalarType> {
 protected:
  void SetUp() override {
    if (!PanelLinear::takes(weight)) GTEST_SKIP() << "LibTorch's products are used on this processor";
  }
  at::ScalarType dtype = GetParam();
  at::Tensor weight = drawn_in(dtype, {50, 96}, 1), bias = drawn_in(dtype, {50}, 2),
             x = drawn_in(dtype, {2, 333, 96}, 3);
};

TEST_P(PanelLinears, AreTheSameBitsForAnyNumberOfThreads) {
  const PanelLinear map(weight);
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor alone = map(x, bias);
  for (const int many : {2, 5}) {
    at::set_num_threads(many);
    EXPECT_TRUE(at::equal(map(x, bias), alone)) << many;
  }
  at::set_num_threads(threads);
  EXPECT_EQ(alone.sizes(), (at::IntArrayRef{2, 333, 50}));
  EXPECT_LT(furthest_share(alone, exact_product(x, weight, bias, Gelu::none)), allowed_share(dtype));
}

TEST_P(PanelLinears, TakeRowsThatAreNotContiguousAndNone) {
  const PanelLinear map(weight);
  EXPECT_TRUE(at::equal(map(x.transpose(0, 1), bias), map(x, bias).transpose(0, 1)));
  EXPECT_EQ(map(x.narrow(1, 0, 0), bias).sizes(), (at::IntArrayRef{2, 0, 50}));
}

TEST_P(PanelLinears, SayWhatDoesNotFit) {
  const PanelLinear map(weight);
  EXPECT_THAT(error_text([&] { (void)map(x.to(at::kHalf), bias); }), HasSubstr("for 96 inputs"));
  EXPECT_THAT(error_text([&] { (void)map(x.narrow(2, 0, 95), bias); }), HasSubstr("got 95"));
}

TEST_P(PanelLinears, ArePackedLinearLayers) {
  Linear linear;
  linear.weight = weight;
  linear.bias = bias;
  EXPECT_FALSE(linear.takes_gelu_after(x, Gelu::erf));
  linear.pack();
  EXPECT_FALSE(linear.weight.defined());
  EXPECT_THAT(tensors_of(linear), SizeIs(2));
  EXPECT_TRUE(at::equal(linear(x), PanelLinear(weight)(x, bias)));
  ASSERT_TRUE(linear.takes_gelu_after(x, Gelu::erf));
  EXPECT_TRUE(at::equal(linear.gelu_after(x, Gelu::erf), PanelLinear(weight)(x, bias, Gelu::erf)));
}

INSTANTIATE_TEST_SUITE_P(Dtypes, PanelLinears, testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& info) { return std::string(c10::toString(info.param)); });

TEST(PanelLinear, LeavesOtherDtypesToLibTorch) {
  for (const at::ScalarType dtype : {at::kHalf, at::kDouble}) EXPECT_FALSE(PanelLinear::runs_on(at::kCPU, dtype));
  EXPECT_FALSE(PanelLinear::runs_on(at::kCUDA, at::kFloat));
}

}  // namespace
}  // namespace bitreel
