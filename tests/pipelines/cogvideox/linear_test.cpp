// Products in 8 bits: what a library computes against the plain operations, and what 8 bits cost a model.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "attention/cuda/load_plugin.h"
#include "base/json_file.h"
#include "pipelines/cogvideox/transformer.h"
#include "pipelines/layers/cuda/cuda_product.h"
#include "pipelines/layers/cuda/cuda_rows.h"
#include "pipelines/layers/panel_linear.h"
#include "pipelines/layers/quantized_linear.h"
#include "tests/golden.h"
#include "tests/test_device.h"

namespace bitreel {
namespace {

at::Tensor drawn(at::IntArrayRef shape, std::uint64_t seed) {
  return at::randn(shape, at::detail::createCPUGenerator(seed), at::TensorOptions(at::kFloat)).to(test_device());
}

double relative_l2(const at::Tensor& got, const at::Tensor& expected) {
  return ((got - expected).norm() / expected.norm()).item<double>();
}

// What a small 5b model makes of a golden input.
at::Tensor predict(const LinearOptions& linear) {
  const Golden golden("cog5b");
  const auto folder = golden.model() / "transformer";
  const at::Tensor latents = golden.tensor("transformer", "input.hidden_states");
  const at::Tensor text =
      at::cat({golden.tensor("text", "negative_prompt_embeds"), golden.tensor("text", "prompt_embeds")});
  const Transformer transformer(Weights::open(folder), read_transformer_config(read_json(folder / "config.json")),
                                {.device = test_device()}, Elementwise::fused, linear);
  StepContext context;
  context.timestep = golden.tensor("transformer", "input.timestep")[0].item<std::int64_t>();
  return transformer(latents.to(test_device()),
                     transformer.condition(text, {latents.size(1), latents.size(3), latents.size(4)}), context);
}

class EightBits : public testing::TestWithParam<LinearPrecision> {
 protected:
  [[nodiscard]] static LinearOptions options(LinearPath path) { return {GetParam(), path}; }
  // Tokens and outputs of very different magnitudes: one scale for all of them would not do.
  at::Tensor x = drawn({2, 40, 96}, 1) * at::logspace(-2, 2, 40).unsqueeze(1).to(test_device());
  at::Tensor weight = drawn({64, 96}, 2) * at::logspace(-1, 1, 64).unsqueeze(1).to(test_device());
  at::Tensor bias = drawn({64}, 3);
  at::Tensor exact = at::linear(x.to(at::kDouble), weight.to(at::kDouble), bias.to(at::kDouble));
};

TEST_P(EightBits, AreNearTheExactProduct) {
  const at::Tensor y = QuantizedLinear(weight, options(LinearPath::plain))(x, bias).to(at::kDouble);
  EXPECT_EQ(y.sizes(), exact.sizes());
  const double most = GetParam() == LinearPrecision::fp8 ? 0.045 : 0.02;  // int8 weights in 7 bits without VNNI
  // Of each token, so that none hides behind a larger one.
  const at::Tensor errors = (y - exact).norm(2, {2}) / exact.norm(2, {2});
  EXPECT_LT(errors.max().item<double>(), 2 * most);
  EXPECT_LT(errors.mean().item<double>(), most);
}

TEST_P(EightBits, AreTheSameIntegersThroughTheLibrary) {
  const at::Tensor plain = QuantizedLinear(weight, options(LinearPath::plain))(x, bias);
  const at::Tensor library = QuantizedLinear(weight, options(LinearPath::library))(x, bias);
  EXPECT_LT(relative_l2(library, plain), 1e-6);
}

// A product that has a fast kernel for some signs only may fall back to one that takes a thousand times as long.
TEST_P(EightBits, TakeNoLongerThroughTheLibrary) {
  if (linear_library(options(LinearPath::library), test_device(), at::kFloat) == "plain")
    GTEST_SKIP() << "no library has it";
  const at::Tensor rows = drawn({1500, 512}, 4), wide = drawn({1536, 512}, 5);
  const QuantizedLinear plain(wide, options(LinearPath::plain)), library(wide, options(LinearPath::library));
  EXPECT_LT(relative_l2(library(rows, {}), plain(rows, {})), 1e-6);
  const auto seconds = [&](const QuantizedLinear& map) {
    double least = std::numeric_limits<double>::infinity();
    for (int round = 0; round < 3; ++round) {
      const auto start = std::chrono::steady_clock::now();
      map(rows, {}).sum().item<float>();
      least = std::min(least, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    return least;
  };
  EXPECT_LT(seconds(library), 4 * seconds(plain));
}

// The largest integers in one row and one output: sums of pairs in 16 bits would saturate.
TEST_P(EightBits, SumTheLargestValuesExactly) {
  const at::TensorOptions there(test_device());
  const at::Tensor ones = at::ones({32, 256}, there), rows = at::ones({64, 256}, there);
  for (const double sign : {1.0, -1.0}) {
    const at::Tensor y = QuantizedLinear(sign * rows, options(LinearPath::library))(ones, {});
    EXPECT_TRUE(at::allclose(y, at::full({32, 64}, sign * 256, there), 1e-5, 0)) << y[0][0];
  }
}

TEST_P(EightBits, RowsOfZerosStayZero) {
  const at::Tensor y = QuantizedLinear(weight, options(LinearPath::library))(at::zeros_like(x[0]), {});
  EXPECT_TRUE(at::equal(y, at::zeros_like(y)));
}

TEST_P(EightBits, KeepTheInputsDtype) {
  for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf}) {
    const at::Tensor y = QuantizedLinear(weight.to(dtype), options(LinearPath::library))(x.to(dtype), bias.to(dtype));
    EXPECT_EQ(y.scalar_type(), dtype);
    EXPECT_LT(relative_l2(y.to(at::kDouble), exact), 0.05);
  }
}

TEST_P(EightBits, ChangeAModelsPredictionOnlyALittle) {
  const at::Tensor full = predict({}), eight = predict(options(LinearPath::library));
  EXPECT_FALSE(at::equal(full, eight)) << "the products ran in full precision";
  EXPECT_LT(relative_l2(eight, full), 0.1);
}

INSTANTIATE_TEST_SUITE_P(Precisions, EightBits, testing::Values(LinearPrecision::int8, LinearPrecision::fp8),
                         [](const auto& info) { return std::string(name_of(info.param)); });

// A byte a number, and nothing else is rounded but the products' own results.
TEST(WeightsInEightBits, AreMultipliedInFullPrecision) {
  Linear linear;
  linear.weight = drawn({64, 96}, 2) * at::logspace(-1, 1, 64).unsqueeze(1).to(test_device());
  linear.bias = drawn({64}, 3);
  const at::Tensor x = drawn({2, 40, 96}, 1), weight = linear.weight, exact = linear(x);
  linear.pack({.weights = WeightStorage::fp8});
  EXPECT_EQ(linear.weight.scalar_type(), at::kFloat8_e4m3fn);
  const QuantizedRows stored = stored_in_fp8(weight);
  EXPECT_TRUE(at::equal(linear(x), at::linear(x, stored.values.to(at::kFloat) * stored.scales, linear.bias)));
  const at::Tensor errors = (linear(x) - exact).norm(2, {1}) / exact.norm(2, {1});
  EXPECT_LT(errors.max().item<double>(), 0.045) << "of each output, so that none hides behind a larger one";
  for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf}) {
    Linear half;
    half.weight = weight.to(dtype);
    half.bias = linear.bias.to(dtype);
    half.pack({.weights = WeightStorage::fp8});
    const at::Tensor y = half(x.to(dtype));
    EXPECT_EQ(y.scalar_type(), dtype);
    EXPECT_LT(relative_l2(y.to(at::kFloat), exact), 0.045);
  }
}

TEST(WeightsInEightBits, ChangeAModelsPredictionLessThanProductsDo) {
  const at::Tensor full = predict({});
  const double stored = relative_l2(predict({.weights = WeightStorage::fp8}), full);
  EXPECT_GT(stored, 0) << "weights stayed as they were";
  EXPECT_LT(stored, relative_l2(predict({.precision = LinearPrecision::fp8}), full));
}

TEST(LinearLibrary, IsNamedForWhatRuns) {
  EXPECT_EQ(linear_library({}, at::kCPU, at::kFloat),
            PanelLinear::runs_on(at::kCPU, at::kFloat) ? "bitreel" : "LibTorch");
  EXPECT_EQ(linear_library({}, at::kCPU, at::kHalf), "LibTorch");
  EXPECT_EQ(linear_library({.weights = WeightStorage::fp8}, at::kCPU, at::kFloat), "LibTorch");
  EXPECT_EQ(linear_library({LinearPrecision::int8}, at::kCPU, at::kFloat), "oneDNN");
  EXPECT_EQ(linear_library({LinearPrecision::int8, LinearPath::plain}, at::kCPU, at::kFloat), "plain");
  EXPECT_EQ(linear_library({LinearPrecision::fp8}, at::kCPU, at::kBFloat16), "plain");
}

// On a GPU a kernel quantizes bf16 and fp16.
TEST(QuantizedRows, AreTheSameWhereverTheyAreMade) {
  for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf}) {
    const at::Tensor x = (drawn({30, 1920}, 4) * at::logspace(-3, 3, 30).unsqueeze(1).to(test_device())).to(dtype);
    for (const RowFormat& format : {RowFormat{LinearPrecision::int8, 127}, RowFormat{LinearPrecision::fp8, 448}}) {
      const QuantizedRows here = quantize_rows(x, format), cpu = quantize_rows(x.cpu(), format);
      EXPECT_TRUE(at::equal(here.values.cpu().to(at::kFloat), cpu.values.to(at::kFloat))) << name_of(format.precision);
      EXPECT_TRUE(at::equal(here.scales.cpu(), cpu.scales));
    }
  }
}

// By kernels on a CPU, in bytes of which 128 stands for 0.
TEST(QuantizedRows, AreTheSameIntegersInBytes) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    SCOPED_TRACE(c10::toString(dtype));
    const at::Tensor x = (drawn({40, 517}, 4).cpu() * at::logspace(-3, 3, 40).unsqueeze(1)).to(dtype);
    x[7].zero_();
    const QuantizedRows bytes = quantize_rows(x, {LinearPrecision::int8, 127, /*offset=*/true});
    const QuantizedRows integers = quantize_rows(x, {LinearPrecision::int8, 127});
    EXPECT_EQ(bytes.values.scalar_type(), at::kByte);
    EXPECT_TRUE(at::equal(bytes.values.to(at::kShort) - 128, integers.values.to(at::kShort)));
    EXPECT_TRUE(at::equal(bytes.scales, integers.scales));
  }
}

TEST(QuantizedRows, StayNanInBytes) {
  const at::Tensor x = at::ones({2, 40});
  x[1][3] = std::numeric_limits<float>::quiet_NaN();
  const at::Tensor scales = quantize_rows(x, {LinearPrecision::int8, 127, /*offset=*/true}).scales;
  EXPECT_EQ(scales[0].item<float>(), 1.0f / 127);
  EXPECT_TRUE(std::isnan(scales[1].item<float>()));
}

// The forms differ by 3 to 15 % at these inputs, bf16's roundings by 0.4 %. On a CPU GELU is a pass of its own
// after a weight that is not packed.
TEST(LinearWithGelu, HasTheTanhFormAfterAProductAndBeforeOne) {
  for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf}) {
    SCOPED_TRACE(c10::toString(dtype));
    Linear in;
    in.weight = (0.01 * drawn({64, 96}, 1)).to(dtype);
    in.bias = at::linspace(-3.5, -2.5, 64, at::TensorOptions(at::kFloat)).to(test_device(), dtype);
    const at::Tensor x = drawn({2, 20, 96}, 2).to(dtype);
    const auto fp64 = [](const at::Tensor& t) { return t.to(at::kDouble); };
    const at::Tensor sums = at::linear(fp64(x), fp64(in.weight), fp64(in.bias));
    EXPECT_EQ(in.takes_gelu_after(x, Gelu::tanh), !test_device().is_cpu());
    if (in.takes_gelu_after(x, Gelu::tanh)) {
      const at::Tensor y = fp64(in.gelu_after(x, Gelu::tanh));
      EXPECT_EQ(y.sizes(), sums.sizes());
      EXPECT_LT(relative_l2(y, at::gelu(sums, "tanh")), 0.5 * relative_l2(y, at::gelu(sums)));
    }
    Linear out;
    out.weight = drawn({32, 64}, 3).to(dtype);
    out.bias = drawn({32}, 4).to(dtype);
    out.pack({.precision = LinearPrecision::fp8});
    const at::Tensor before = sums.to(dtype);
    EXPECT_TRUE(!test_device().is_cpu() || !out.takes_gelu_before(before));
    if (out.takes_gelu_before(before)) {
      const at::Tensor y = fp64(out.gelu_before(before));
      EXPECT_LT(relative_l2(y, fp64(out(at::gelu(before, "tanh")))), 0.5 * relative_l2(y, fp64(out(at::gelu(before)))));
    }
  }
}

// Our own calls of cuBLASLt beside LibTorch's, in the shapes of CogVideoX-2b and 5b.
class OwnProducts : public testing::TestWithParam<std::pair<std::int64_t, std::int64_t>> {
 protected:
  void SetUp() override {
    if (const std::string missing = cuda::missing_plugin(); !missing.empty()) GTEST_SKIP() << missing;
    if (!cuda::has_products(test_device())) GTEST_SKIP() << "libbitreel_cuda.so was built without cuBLASLt";
  }
  static Linear drawn_linear(at::ScalarType dtype) {
    const auto [in, out] = GetParam();
    Linear linear;
    linear.weight = (0.02 * drawn({out, in}, 1)).to(dtype);
    linear.bias = (0.1 * drawn({out}, 2)).to(dtype);
    return linear;
  }
};

TEST_P(OwnProducts, HaveTheBitsOfLibTorchs) {
  for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf}) {
    SCOPED_TRACE(c10::toString(dtype));
    const Linear linear = drawn_linear(dtype);
    const at::Tensor x = drawn({4099, linear.weight.size(1)}, 3).to(dtype);
    for (const at::Tensor& rows : {x, x.slice(0, 0, 4096).view({2, 2048, -1})}) {
      const at::Tensor ours = cuda::product(rows, linear.weight, linear.bias, cuda::AfterProduct::nothing);
      EXPECT_TRUE(at::equal(ours, linear(rows)));
      const at::Tensor with_gelu = cuda::product(rows, linear.weight, linear.bias, cuda::AfterProduct::gelu_tanh);
      EXPECT_TRUE(at::equal(with_gelu, linear.gelu_after(rows, Gelu::tanh)));
    }
  }
}

// As many rows as a clip of 49 frames has, and an odd number.
TEST_P(OwnProducts, RunWhereTheyAreFasterUnlessThePathIsPlain) {
  Linear ours = drawn_linear(at::kBFloat16), theirs = ours;
  const at::Tensor few = drawn({4099, ours.weight.size(1)}, 3).to(at::kBFloat16), x = few.repeat({9, 1});
  const bool wide = ours.weight.size(0) > 1920;
  EXPECT_EQ(cuda::takes_product(x, ours.weight, ours.bias), wide && cuda::compute_capability() == 90);
  EXPECT_FALSE(cuda::takes_product(few, ours.weight, ours.bias));
  EXPECT_FALSE(cuda::takes_product(x, ours.weight, {}));
  EXPECT_FALSE(cuda::takes_product(x, ours.weight.to(at::kHalf), ours.bias)) << "of two dtypes";
  ours.pack();
  theirs.pack({.path = LinearPath::plain});
  EXPECT_TRUE(at::equal(ours(x), theirs(x)));
  EXPECT_TRUE(at::equal(ours.gelu_after(x, Gelu::tanh), theirs.gelu_after(x, Gelu::tanh)));
}

INSTANTIATE_TEST_SUITE_P(Shapes, OwnProducts,
                         testing::Values(std::pair{1920, 1920}, std::pair{1920, 7680}, std::pair{3072, 3072},
                                         std::pair{3072, 12288}, std::pair{12288, 3072}),
                         [](const auto& info) {
                           return "From" + std::to_string(info.param.first) + "To" + std::to_string(info.param.second);
                         });

TEST(QuantizedRows, CanBeMadeBeforeTheMapThatReadsThem) {
  const at::Tensor x = drawn({30, 96}, 5), bias = drawn({64}, 6);
  for (const LinearPrecision precision : {LinearPrecision::int8, LinearPrecision::fp8}) {
    const QuantizedLinear map(drawn({64, 96}, 7), {precision});
    EXPECT_TRUE(at::equal(map(quantize_rows(x, map.row_format()), bias), map(x, bias)));
    EXPECT_TRUE(at::equal(map(x, bias, RowActivation::gelu_tanh), map(at::gelu(x, "tanh"), bias)));
  }
}

TEST(QuantizedRows, HaveOneScaleEach) {
  const at::Tensor x = at::tensor({1.0, -127.0, 0.4, 0.0, 254.0, 0.8}).view({2, 3}).to(at::kFloat);
  const QuantizedRows rows = quantize_rows(x, {LinearPrecision::int8, 127});
  EXPECT_TRUE(at::equal(rows.values.to(at::kFloat),
                        at::tensor({1.0, -127.0, 0.0, 0.0, 127.0, 0.0}).view({2, 3}).to(at::kFloat)));
  EXPECT_TRUE(at::allclose(rows.scales, at::tensor({1.0, 2.0}).view({2, 1}).to(at::kFloat)));
  EXPECT_EQ(quantize_rows(x, {LinearPrecision::fp8, 448}).values.scalar_type(), at::kFloat8_e4m3fn);
}

}  // namespace
}  // namespace bitreel
