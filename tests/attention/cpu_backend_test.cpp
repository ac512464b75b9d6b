// The integer kernels against each other: every instruction set that this machine has gives the scalar one's bits,
// and what they pack are the integers and scales that attention/quantize.h says.
#include "attention/cpu/cpu_backend.h"
#include "attention/registry.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <iterator>
#include <vector>

#include "attention/cpu/kernels.h"
#include "attention/similarity.h"
#include "attention/torch/quantize.h"
#include "base/cpu_features.h"
#include "tests/attention/calls.h"
#include "tests/attention/kernels_amx_emulated.h"
#include "tests/attention/threads.h"

namespace bitreel {
namespace {

using namespace cpu;

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  const auto bits = a.element_size() == 2 ? at::kShort : at::kInt;
  return at::equal(a.contiguous().view(bits), b.contiguous().view(bits));
}

const Backend& scalar() {
  return cpu_backends().back();
}

// Those that this machine can run, and cpu-amx's code with emulated tiles.
const std::vector<Backend>& kernels_here() {
  static const std::vector<Backend> here = [] {
    std::vector<Backend> all;
    std::ranges::copy_if(cpu_backends(), std::back_inserter(all),
                         [](const Backend& b) { return b.missing(at::kCPU).empty(); });
    Backend emulated = scalar();
    emulated.name = "cpu-amx with emulated tiles";
    emulated.run = [](const AttendCall& call) { run_kernels(cpu_amx_emulated::kernels(), call); };
    all.push_back(emulated);
    return all;
  }();
  return here;
}

std::string readable(std::string text) {
  std::ranges::replace_if(
      text, [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return text;
}

class CpuKernels : public testing::TestWithParam<std::tuple<std::string, Shape>> {
 protected:
  Recipe recipe = recipe_from(std::get<0>(GetParam()), at::kCPU);
  Shape shape = std::get<1>(GetParam());
};

TEST_P(CpuKernels, GiveTheSameBitsOnEveryInstructionSet) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    const Inputs in = cpu_inputs(shape, 1, dtype);
    for (const Causality causality : {Causality::none, Causality::bottom_right}) {
      for (const at::Tensor& mask : {at::Tensor(), normal({shape.batch, shape.keys}, 4) > -0.5}) {
        SCOPED_TRACE(testing::Message() << dtype << (mask.defined() ? " masked" : "")
                                        << (causality == Causality::none ? "" : " causal"));
        const Asked asked = {.recipe = recipe, .causality = causality, .key_mask = mask};
        const Answer expected = run(scalar(), in, asked);
        for (const Backend& backend : kernels_here()) {
          const Answer answer = run(backend, in, asked);
          EXPECT_TRUE(same_bits(answer.out, expected.out)) << backend.name;
          EXPECT_TRUE(same_bits(answer.log_sum_exp, expected.log_sum_exp)) << backend.name;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    RecipesAndShapes, CpuKernels,
    testing::Combine(testing::Values("int8", "int4", "sage1-vt", "sage1-vb", "int8+key-block=64", "int8+key-block=256",
                                     "int8+scales=thread+exponential=exact", "int8+scales=warp+maximum=running",
                                     "int8+scales=block+exponential=exact+key-block=128", "int8+p-levels=127"),
                     testing::Values(Shape{1, 1, 1, 1, 1, 1}, Shape{2, 4, 2, 17, 70, 64}, Shape{1, 2, 1, 150, 290, 40},
                                     Shape{1, 1, 1, 33, 513, 128}, Shape{1, 2, 2, 65, 30, 80},
                                     Shape{1, 1, 1, 40, 2200, 64})),
    [](const auto& info) {
      const Shape& s = std::get<1>(info.param);
      return readable(std::get<0>(info.param)) + "_" + std::to_string(s.queries) + "_queries_" +
             std::to_string(s.keys) + "_keys_of_" + std::to_string(s.dim);
    });

// At 1e10 log2 units, a seventh of one is far below the rounding of a score.
TEST(CpuKernels, FindTheLargestOfHugeLogits) {
  Inputs in = cpu_inputs({.queries = 40, .keys = 300}, 1);
  in.q *= 1e5;
  in.k *= 1e5;
  const Answer one_hot = run(backend_named("reference"), in, {});
  for (const Backend& backend : kernels_here()) {
    const Answer answer = run(backend, in, {.recipe = recipe_of(Precision::int8, at::kCPU)});
    EXPECT_GE(similarity(one_hot.out, answer.out).cosine, 0.99) << backend.name;
  }
}

TEST(CpuKernels, GiveNaNRatherThanNonsenseForLogitsBeyondFp32) {
  Inputs in = cpu_inputs({.queries = 40, .keys = 300}, 1);
  in.q *= 1e25;
  in.k *= 1e25;
  for (const Precision precision : {Precision::int8, Precision::int4}) {
    for (const Backend& backend : kernels_here()) {
      const Answer answer = run(backend, in, {.recipe = recipe_of(precision, at::kCPU)}, Poison::number);
      EXPECT_TRUE(answer.out.isnan().all().item<bool>()) << backend.name;
      EXPECT_TRUE(answer.log_sum_exp.isnan().all().item<bool>()) << backend.name;
    }
  }
}

TEST(CpuKernels, DoNotDependOnTheNumberOfThreads) {
  const Inputs in = cpu_inputs({.batch = 2, .query_heads = 2, .key_heads = 1, .queries = 300, .keys = 200}, 1);
  for (const Backend& backend : kernels_here()) {
    const auto on = [&](int threads) {
      const Threads set(threads);
      return run(backend, in, {.recipe = recipe_of(Precision::int8, at::kCPU)});
    };
    EXPECT_TRUE(same_bits(on(1).out, on(3).out)) << backend.name;
  }
}

TEST(CpuKernels, SayHowLongQuantizingTook) {
  const Inputs in = cpu_inputs({.queries = 500, .keys = 500}, 1);
  for (const Backend& backend : kernels_here()) {
    double quantizing = -1;
    AttendCall call = call_of(in, {.recipe = recipe_of(Precision::int8, at::kCPU)});
    call.quantization_seconds = &quantizing;
    const auto start = std::chrono::steady_clock::now();
    backend.run(call);
    const std::chrono::duration<double> whole = std::chrono::steady_clock::now() - start;
    EXPECT_GT(quantizing, 0) << backend.name;
    EXPECT_LT(quantizing, whole.count()) << backend.name;
  }
}

// Says which of them the tests of this file are not about.
TEST(CpuKernels, AllRunHere) {
  std::string lacking;
  for (const Backend& backend : cpu_backends()) {
    if (const std::string lack = backend.missing(at::kCPU); !lack.empty())
      lacking += fmt::format("{}: {}; ", backend.name, lack);
  }
  if (!lacking.empty()) GTEST_SKIP() << "not tested here: " << lacking;
}

TEST(CpuKernels, HaveAPeakWhereTheyRun) {
  for (const Backend& backend : cpu_backends()) {
    ASSERT_NE(backend.peak_tops, nullptr) << backend.name;
    EXPECT_EQ(backend.peak_tops() > 1e-4, backend.missing(at::kCPU).empty()) << backend.name;
  }
}

// Likewise, as kernels.
std::vector<const Kernels*> all_kernels() {
  std::vector<const Kernels*> all = {&cpu_scalar::kernels(), &cpu_amx_emulated::kernels()};
#if defined(__x86_64__)
  const X86Features& has = x86_features();
  if (has.amx_int8) all.push_back(&cpu_amx::kernels());
  if (has.avx512_vnni) all.push_back(&cpu_avx512_vnni::kernels());
  if (has.avx_vnni) all.push_back(&cpu_avx_vnni::kernels());
  if (has.avx2) all.push_back(&cpu_avx2::kernels());
#elif defined(__aarch64__)
  if (arm_dot_products()) all.push_back(&cpu_neon::kernels());
#endif
  return all;
}

struct Packed {
  at::Tensor integers, scales, offsets, values;
  Head head;
};

Packed pack(const Kernels& kernels, const Inputs& in, const Recipe& recipe) {
  const std::int64_t keys = in.k.size(2), padded = (keys + 63) / 64 * 64, dim = in.k.size(3) <= 64 ? 64 : 128;
  Packed p = {at::empty({padded, dim}, at::kChar),
              at::empty({padded}, at::kFloat),
              at::empty({padded}, at::kInt),
              at::empty({padded / 64, dim, 64}, at::kChar),
              {}};
  p.head.padded = padded;
  p.head.count = keys;
  p.head.keys = p.integers.mutable_data_ptr<std::int8_t>();
  p.head.key_offsets = p.offsets.mutable_data_ptr<std::int32_t>();
  p.head.key_scales = p.scales.mutable_data_ptr<float>();
  p.head.values = p.values.mutable_data_ptr<std::int8_t>();
  const auto rows = [](const at::Tensor& x) { return Rows{x.const_data_ptr(), x.stride(2), Element::fp32}; };
  kernels.pack(
      {.k = rows(in.k), .v = rows(in.v), .kept = nullptr, .count = keys, .dim = static_cast<int>(in.k.size(3))}, recipe,
      p.head);
  return p;
}

TEST(CpuKernels, PackTheIntegersAndScalesOfTheRecipe) {
  for (const char* text : {"int8", "int8+scales=token", "int8+scales=thread+smooth-k=off", "int4+scales=block"}) {
    for (const std::int64_t keys : {1, 63, 130}) {
      for (const std::int64_t dim : {5, 64, 100}) {
        SCOPED_TRACE(testing::Message() << text << ", " << keys << " keys of " << dim);
        const Recipe recipe = recipe_from(text, at::kCPU);
        const Inputs in = cpu_inputs({.queries = 1, .keys = keys, .dim = dim}, 1);
        const QuantizedTokens k = quantize_keys(in.k[0][0], recipe);
        const QuantizedValues v = quantize_values(in.v[0][0], recipe);
        for (const Kernels* kernels : all_kernels()) {
          const Packed p = pack(*kernels, in, recipe);
          EXPECT_TRUE(at::equal(p.integers.slice(0, 0, keys).slice(1, 0, dim), k.integers));
          EXPECT_TRUE(at::equal(p.scales.slice(0, 0, keys), k.scales));
          EXPECT_TRUE(at::equal(p.offsets, p.integers.to(at::kInt).sum(1) * -128));
          const at::Tensor values = p.values.transpose(1, 2).flatten(0, 1);  // [padded][D]
          EXPECT_TRUE(at::equal(values.slice(0, 0, keys).slice(1, 0, dim).to(at::kFloat), v.values));
          EXPECT_EQ(values.slice(0, keys).abs().sum().item<std::int64_t>(), 0) << "padding";
          EXPECT_TRUE(at::equal(at::from_blob(const_cast<float*>(p.head.value_scales), {dim}, at::kFloat), v.scales));
          EXPECT_TRUE(at::equal(at::from_blob(const_cast<float*>(p.head.value_mean), {dim}, at::kFloat), v.mean));
        }
      }
    }
  }
}

}  // namespace
}  // namespace bitreel
