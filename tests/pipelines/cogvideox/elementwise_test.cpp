// The fused kernels of every instruction set that this CPU has, and the GPU's where tests run on one, against the
// formulas composed of LibTorch's operations.
#include "pipelines/cogvideox/elementwise.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <type_traits>
#include <vector>

#include "attention/attention.h"
#include "pipelines/layers/rows/rows_units.h"
#include "tests/golden.h"
#include "tests/test_device.h"

namespace bitreel {

namespace {

at::Tensor random(at::IntArrayRef shape, std::uint64_t seed, at::ScalarType dtype) {
  return at::randn(shape, at::detail::createCPUGenerator(seed), at::TensorOptions(at::kFloat)).to(dtype);
}

LayerNorm random_norm(std::int64_t features, at::ScalarType dtype) {
  LayerNorm norm;
  norm.weight = random({features}, 1, dtype);
  norm.bias = random({features}, 2, dtype);
  norm.eps = 1e-3;
  return norm;
}

// fp32 sums in another order; bf16 rounds once where the composed operations round four times.
double allowed(at::ScalarType dtype) {
  return dtype == at::kFloat ? 2e-6 : 1.6e-2;
}

class Fused : public testing::TestWithParam<at::ScalarType> {
 protected:
  at::ScalarType dtype = GetParam();
  at::Device device = test_device();

  [[nodiscard]] at::Tensor there(at::IntArrayRef shape, std::uint64_t seed) const {
    return random(shape, seed, dtype).to(device);
  }
  [[nodiscard]] LayerNorm norm_there(std::int64_t features) const {
    LayerNorm norm = random_norm(features, dtype);
    norm.weight = norm.weight.to(device);
    norm.bias = norm.bias.to(device);
    return norm;
  }
  // Against the composed form in fp32 on the same, already rounded inputs.
  void expect_near(const at::Tensor& ours, const at::Tensor& composed) const {
    EXPECT_EQ(ours.scalar_type(), dtype);
    EXPECT_LT(worst_share(ours.cpu(), composed.cpu()), allowed(dtype));
  }
};

TEST_P(Fused, LayersModulateNormsAndGatesLikeTheComposedOnes) {
  for (const auto& [tokens, text_tokens, dim] : {std::tuple{7, 3, 16}, std::tuple{300, 226, 64}, std::tuple{5, 0, 40},
                                                 std::tuple{4, 4, 8}, std::tuple{9, 2, 1920}, std::tuple{9, 2, 3072}}) {
    SCOPED_TRACE(testing::Message() << tokens << " tokens of " << dim << ", " << text_tokens << " of text");
    const auto modulation = [&, dim = dim](std::uint64_t seed) {
      const std::vector<at::Tensor> three = there({2, 1, 3L * dim}, seed).chunk(3, -1);
      return Modulation{three[0], three[1], three[2]};
    };
    const auto in_fp32 = [](const Modulation& m) {
      return Modulation{m.shift.to(at::kFloat), m.scale.to(at::kFloat), m.gate.to(at::kFloat)};
    };
    const Modulations m{.text = modulation(5), .video = modulation(6), .text_tokens = text_tokens};
    const Modulations exact{.text = in_fp32(m.text), .video = in_fp32(m.video), .text_tokens = text_tokens};
    const LayerNorm norm = norm_there(dim);
    LayerNorm exact_norm = norm;
    exact_norm.weight = norm.weight.to(at::kFloat);
    exact_norm.bias = norm.bias.to(at::kFloat);
    const at::Tensor x = there({2, tokens, dim}, 7), update = there({2, tokens, dim}, 8);
    expect_near(modulated_norm(norm, x, m, Elementwise::fused),
                modulated_norm(exact_norm, x.to(at::kFloat), exact, Elementwise::composed));
    expect_near(gated_add(x, update, m, Elementwise::fused),
                gated_add(x.to(at::kFloat), update.to(at::kFloat), exact, Elementwise::composed));
  }
}

TEST_P(Fused, NormsOfSumsInEightBitsAreWhatTheStepsGiveOneByOne) {
  const std::vector<std::optional<RowFormat>> formats = {std::nullopt, RowFormat{LinearPrecision::int8, 127},
                                                         RowFormat{LinearPrecision::fp8, 448}};
  for (const std::int64_t dim : {16, 1920, 3072}) {
    const auto modulations = [&](std::uint64_t seed) {
      const std::vector<at::Tensor> six = there({1, 1, 6 * dim}, seed).expand({2, -1, -1}).chunk(6, -1);
      return Modulations{.text = {six[0], six[1], six[2]}, .video = {six[3], six[4], six[5]}, .text_tokens = 3};
    };
    const Modulations gates = modulations(5), m = modulations(6);
    const at::Tensor x = there({2, 7, dim}, 7), update = there({2, 7, dim}, 8);
    const LayerNorm norm = norm_there(dim);
    for (const std::optional<RowFormat>& format : formats) {
      SCOPED_TRACE(testing::Message() << (format ? name_of(format->precision) : "") << ", rows of " << dim);
      const auto expect_rows = [&](const Normed& ours, const at::Tensor& sum) {
        EXPECT_TRUE(at::equal(ours.sum, sum));
        const at::Tensor rows = modulated_norm(norm, sum, m, Elementwise::fused);
        if (!format) {
          EXPECT_TRUE(at::equal(std::get<at::Tensor>(ours.rows), rows));
          return;
        }
        const QuantizedRows expected = quantize_rows(rows.flatten(0, 1), *format);
        const auto& got = std::get<QuantizedRows>(ours.rows);
        EXPECT_TRUE(at::equal(got.values.to(at::kFloat), expected.values.to(at::kFloat)));
        EXPECT_TRUE(at::equal(got.scales, expected.scales));
      };
      expect_rows(normed({.x = x}, norm, m, format, Elementwise::fused), x);
      expect_rows(normed({.x = x, .update = update, .gates = gates}, norm, m, format, Elementwise::fused),
                  gated_add(x, update, gates, Elementwise::fused));
    }
  }
}

TEST_P(Fused, HeadsAreNormedAndRotatedLikeTheComposedOnes) {
  for (const auto& [tokens, text_tokens, dim, rotated] :
       {std::tuple{9, 4, 16, true}, std::tuple{9, 4, 16, false}, std::tuple{40, 0, 64, true},
        std::tuple{260, 226, 32, true}}) {
    SCOPED_TRACE(testing::Message() << tokens << " tokens, heads of " << dim);
    const at::Tensor qkv = there({2, tokens, 3, 3, dim}, 3);
    const LayerNorm norm = norm_there(dim);
    LayerNorm exact = norm;
    exact.weight = norm.weight.to(at::kFloat);
    exact.bias = norm.bias.to(at::kFloat);
    Rotary rotary;
    if (rotated) {
      const at::Tensor angle = random({tokens - text_tokens, dim / 2}, 4, at::kFloat).to(device);
      rotary = {.cos = at::cos(angle), .sin = at::sin(angle)};
    }
    const QueryKeyValue ours = split_heads(qkv, norm, norm, rotary, text_tokens, Elementwise::fused);
    const QueryKeyValue composed =
        split_heads(qkv.to(at::kFloat), exact, exact, rotary, text_tokens, Elementwise::composed);
    expect_near(ours.q, composed.q);
    expect_near(ours.k, composed.k);
    expect_near(ours.v, composed.v);
  }
}

// Where the kernel that attends norms queries and keys on its way, it gives the bits that it gives of normed ones.
TEST_P(Fused, HeadsAttendBeforeTheirNormsAsTheyDoAfter) {
  for (const auto& [tokens, text_tokens, dim, rotated] :
       {std::tuple{300, 226, 64, true}, std::tuple{1100, 226, 64, false}, std::tuple{130, 0, 128, true}}) {
    const at::Tensor qkv = there({2, tokens, 3, 3, dim}, 3);
    const LayerNorm norm_q = norm_there(dim);
    LayerNorm norm_k = norm_q;
    norm_k.weight = there({dim}, 5);
    Rotary rotary;
    if (rotated) {
      const at::Tensor angle = random({tokens - text_tokens, dim / 2}, 4, at::kFloat).to(device);
      rotary = {.cos = at::cos(angle), .sin = at::sin(angle)};
    }
    const HeadNorms norms = {.q = {norm_q.weight, norm_q.bias, norm_q.eps},
                             .k = {norm_k.weight, norm_k.bias, norm_k.eps},
                             .cos = rotary.cos,
                             .sin = rotary.sin,
                             .first_rotated = text_tokens};
    const auto heads = [&](std::int64_t which) { return qkv.select(2, which).transpose(1, 2); };
    const QueryKeyValue normed = split_heads(qkv, norm_q, norm_k, rotary, text_tokens, Elementwise::fused);
    for (const Precision precision : {Precision::int8, Precision::int4}) {
      SCOPED_TRACE(testing::Message() << tokens << " tokens, heads of " << dim << ", " << name_of(precision));
      AttendReport report;
      const at::Tensor after = attend(normed.q, normed.k, normed.v, {.precision = precision, .report = &report});
      const auto before = attend_before_norms(heads(0), heads(1), heads(2), norms, {.precision = precision});
      EXPECT_EQ(before.has_value(), report.rows().front().backend == "cuda-sm90" && dtype != at::kFloat);
      EXPECT_TRUE(!before || at::equal(*before, after));
    }
  }
}

// Of one type, from what each instruction set has: fp32_kernels or bf16_kernels.
template <class T>
using Kernels = const RowKernels<T>& (*)();

template <class T>
std::vector<const RowKernels<T>*> usable(Kernels<T> baseline, Kernels<T> avx2, Kernels<T> avx512) {
  std::vector<const RowKernels<T>*> all = {&baseline()};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) all.push_back(&avx2());
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
    all.push_back(&avx512());
  }
  return all;
}

template <class T>
std::vector<const RowKernels<T>*> tables() {
  if constexpr (std::is_same_v<T, float>) {
    return usable<float>(rows_baseline::fp32_kernels, rows_avx2::fp32_kernels, rows_avx512::fp32_kernels);
  } else {
    return usable<Bf16>(rows_baseline::bf16_kernels, rows_avx2::bf16_kernels, rows_avx512::bf16_kernels);
  }
}

template <class T>
T* data(const at::Tensor& x) {
  return static_cast<T*>(x.mutable_data_ptr());
}

// Row kernels on three rows of 23 features: a length that no vector divides; rotation needs pairs, so 22 there.
template <class T>
void expect_kernels_near_formulas(at::ScalarType dtype) {
  constexpr std::int64_t rows = 3, dim = 23;
  const auto near = [&](const at::Tensor& ours, const at::Tensor& exact) {
    EXPECT_LT(worst_share(ours, exact), allowed(dtype));
  };
  for (const RowKernels<T>* kernels : tables<T>()) {
    SCOPED_TRACE(kernels->name);
    const at::Tensor x = random({rows, dim}, 1, dtype), update = random({rows, dim}, 2, dtype),
                     v = random({4, dim}, 3, dtype);
    const at::Tensor fp32 = x.to(at::kFloat), f = v.to(at::kFloat);
    const at::Tensor normed = at::layer_norm(fp32, {dim}, f[0], f[1], 1e-3);
    const at::Tensor y = at::empty_like(x);
    kernels->norm_modulate(data<T>(x), {data<T>(v[0]), data<T>(v[1]), data<T>(v[2]), data<T>(v[3]), 1e-3F, dim}, rows,
                           data<T>(y));
    near(y, normed * (1 + f[3]) + f[2]);
    kernels->gated_add(data<T>(x), data<T>(update), data<T>(v[0]), dim, rows, data<T>(y));
    near(y, fp32 + f[0] * update.to(at::kFloat));

    const std::int64_t even = dim - 1;
    const at::Tensor angle = random({rows, even / 2}, 4, at::kFloat);
    const at::Tensor cos = at::cos(angle), sin = at::sin(angle), z = at::empty({rows, even}, x.options());
    kernels->norm_rotate(data<T>(x),
                         {data<T>(v[0]), data<T>(v[1]), data<float>(cos), data<float>(sin), 1e-3F, even, dim}, rows,
                         data<T>(z));
    const at::Tensor cut =
        at::layer_norm(fp32.narrow(1, 0, even), {even}, f[0].narrow(0, 0, even), f[1].narrow(0, 0, even), 1e-3);
    const at::Tensor pairs = cut.unflatten(1, {-1, 2});
    const at::Tensor turned = at::stack({-pairs.select(2, 1), pairs.select(2, 0)}, 2).flatten(1);
    near(z, cut * cos.repeat_interleave(2, 1) + turned * sin.repeat_interleave(2, 1));
  }
}

TEST_P(Fused, KernelsOfEveryInstructionSetFollowTheFormulas) {
  if (dtype == at::kFloat)
    expect_kernels_near_formulas<float>(dtype);
  else
    expect_kernels_near_formulas<Bf16>(dtype);
}

template <class T>
void expect_gelu_everywhere(at::ScalarType dtype) {
  const at::Tensor x =
      at::cat({at::linspace(-12, 12, 2001, at::kFloat), at::tensor({-1e4F, 1e4F, -100.F, 100.F, 0.F})}).to(dtype);
  const at::Tensor exact = at::gelu(x.to(at::kDouble), "tanh");
  for (const RowKernels<T>* kernels : tables<T>()) {
    SCOPED_TRACE(kernels->name);
    const at::Tensor y = x.clone();
    kernels->gelu_tanh(data<T>(y), y.numel());
    const at::Tensor error = (y.to(at::kDouble) - exact).abs();
    const double relative = dtype == at::kFloat ? 2e-6 : 4e-3;
    EXPECT_TRUE((error <= exact.abs() * relative + 1e-6).all().item<bool>()) << "worst " << error.max().item<double>();
  }
}

TEST_P(Fused, GeluIsTheTanhFormFromOneEndToTheOther) {
  if (dtype == at::kFloat)
    expect_gelu_everywhere<float>(dtype);
  else
    expect_gelu_everywhere<Bf16>(dtype);
}

TEST_P(Fused, KernelsKeepNaN) {
  at::Tensor x = at::full({1, 2, 16}, std::numeric_limits<float>::quiet_NaN()).to(dtype);
  EXPECT_TRUE(at::isnan(gelu_tanh(x, Elementwise::fused)).all().item<bool>());
}

INSTANTIATE_TEST_SUITE_P(Dtypes, Fused, testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& info) { return std::string(c10::toString(info.param)); });

}  // namespace
}  // namespace bitreel
