// The examples of this room's headers (tests/app/manuals_test.cpp compares).
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "attention/attention.h"
#include "attention/backends.h"
#include "attention/cpu/attend_block.h"
#include "attention/cpu/call_parts.h"
#include "attention/cpu/cpu_backend.h"
#include "attention/cpu/flash.h"
#include "attention/cpu/flash_backend.h"
#include "attention/cpu/flash_block.h"
#include "attention/cpu/kernels.h"
#include "attention/cpu/lanes_scalar.h"
#include "attention/cpu/products_scalar.h"
#include "attention/cpu/serial.h"
#include "attention/cpu/share_out.h"
#include "attention/registry.h"
#include "attention/torch/quantize.h"
#include "attention/torch/visibility.h"
#include "base/cpu_features.h"
#include "tests/attention/calls.h"

namespace bitreel {
namespace {

const Inputs in = cpu_inputs({.queries = 32, .keys = 64}, 1);
const at::Tensor &q = in.q, &k = in.k, &v = in.v;

TEST(Examples, OfAttention) {
  at::Tensor o = attend(q, k, v, {.precision = Precision::int8});
  EXPECT_EQ(o.sizes(), q.sizes());
}

TEST(Examples, OfAttendReport) {
  struct {
    void warn(const std::string& message) { warnings.push_back(message); }
    std::vector<std::string> warnings;
  } console;
  AttendReport report([&](const std::string& message) { console.warn(message); });
  attend(q, k, v, {.precision = Precision::int8, .report = &report});
  const std::string& backend = report.rows().front().backend;  // "cpu-amx", for int8 in its recipe, once
  EXPECT_FALSE(backend.empty());
  EXPECT_EQ(report.rows().front().calls, 1);
}

TEST(Examples, OfBackend) {
  const AttendCall call = call_of(in, {});
  const Backend& cpu_flash = backend_named("cpu-flash");
  if (cpu_flash.missing(at::kCPU).empty() && cpu_flash.refuses(call).empty()) cpu_flash.run(call);
  EXPECT_EQ(call.out.isnan().any().item<bool>(), !cpu_flash.missing(at::kCPU).empty());
}

TEST(Examples, OfHeadNorms) {
  const at::Tensor weight = at::ones({64}), bias = at::zeros({64}), k = in.q, v = in.q;
  const auto normed = [&](const at::Tensor& x) { return at::layer_norm(x, {64}, weight, bias, 1e-6); };
  const HeadNorms norms = {.q = {.weight = weight, .bias = bias, .eps = 1e-6},
                           .k = {.weight = weight, .bias = bias, .eps = 1e-6}};
  std::optional<at::Tensor> out = attend_before_norms(q, k, v, norms, {.precision = Precision::int8});
  if (!out) out = attend(normed(q), normed(k), v, {.precision = Precision::int8});
  EXPECT_EQ(out->sizes(), q.sizes());
}

TEST(Examples, OfRegistry) {
  const AttendCall call = call_of(in, {.recipe = recipe_of(Precision::int8, at::kCPU)});
  for (const Backend& backend : backends()) fmt::print("{}: {}\n", backend.name, backend.missing(at::kCPU));
  const Chosen chosen = choose_backend(call, "cpu-scalar");  // by name; the best that can when it is empty
  chosen.backend.run(call);
  const BackendNames names = backends_from("reference,emulated");  // one for each arithmetic
  EXPECT_FALSE(call.out.isnan().any().item<bool>());
  EXPECT_EQ(names.quantized, "emulated");
}

TEST(Examples, OfPrecision) {
  const Precision precision = precision_from("sage2-4b").value();
  bits_of(precision);    // 4
  more_bits(precision);  // sage2_8b
  EXPECT_EQ(bits_of(more_bits(precision)), 8);
}

TEST(Examples, OfRecipe) {
  Recipe recipe = recipe_of(Precision::int8, at::kCPU);
  recipe.smooth_v = Smoothing::off;
  at::Tensor o = attend(q, k, v, {.recipe = recipe});
  EXPECT_FALSE(at::equal(o, attend(q, k, v, {.precision = Precision::int8})));
}

TEST(Examples, OfRecipes) {
  const Recipe& own = recipe_of(Precision::int8, at::kCUDA);
  const Recipe recipe = recipe_from("sage2-8b+pv=fp8-ones-row+smooth-v", at::kCPU);
  const Recipe elsewhere = recipe_from("int8@cuda+smooth-v", at::kCPU);  // a GPU's recipe, for the oracle on a CPU
  EXPECT_EQ(own.pv, recipe.pv);
  EXPECT_EQ(elsewhere.smooth_v, Smoothing::on);
}

TEST(Examples, OfSimilarity) {
  const at::Tensor full_precision_output = attend(q, k, v);
  const at::Tensor quantized_output = attend(q, k, v, {.precision = Precision::int8});
  const Similarity close = similarity(full_precision_output, quantized_output);
  const bool holds = close.cosine >= 0.998 && close.relative_l2 <= 0.06;
  EXPECT_TRUE(holds);
}

TEST(Examples, OfQuantize) {
  const at::Tensor head_of_k = in.k[0][0].cpu();
  const Recipe recipe = recipe_of(Precision::int8, at::kCPU);
  const QuantizedTokens k = quantize_keys(head_of_k, recipe);  // [N, D] in, any floating dtype
  const at::Tensor close_to_k = k.integers * k.scales.unsqueeze(1) + k.mean;
  EXPECT_GT(similarity(head_of_k, close_to_k).cosine, 0.999);
}

TEST(Examples, OfVisibility) {
  const AttendCall call = call_of(in, {.causality = Causality::bottom_right});
  const at::Tensor seen = visible_keys(call);  // bool, broadcasts to [B, Hq, Nq, Nkv]; undefined when all is seen
  EXPECT_EQ(seen.sum().item<std::int64_t>(), 32 * 33 + 32 * 31 / 2);
}

using namespace cpu;

TEST(Examples, OfCpuBackends) {
  const Backend& plain = cpu_backends().back();  // of cpu-amx, cpu-avx512-vnni, cpu-avx-vnni, cpu-avx2, cpu-scalar
  EXPECT_EQ(plain.name, "cpu-scalar");
  const Backend& backend = flash_backends().front();  // cpu-flash
  EXPECT_EQ(backend.name, "cpu-flash");
  flash_backends().front().name;
}

// A head of 64 keys and dim 64, and where its packed form goes.
struct PackedHead {
  std::vector<std::int8_t> keys = std::vector<std::int8_t>(4096), values = std::vector<std::int8_t>(4096);
  std::vector<std::int32_t> offsets = std::vector<std::int32_t>(64);
  std::vector<float> scales = std::vector<float>(64);

  Head head() {
    Head head{};
    head.count = head.padded = 64;
    head.keys = keys.data();
    head.values = values.data();
    head.key_offsets = offsets.data();
    head.key_scales = scales.data();
    return head;
  }
};

TEST(Examples, OfKernels) {
  const Recipe recipe = recipe_of(Precision::int8, at::kCPU);
  const AttendCall call = call_of(in, {.recipe = recipe});
  const CallParts of_call(call, 128);
  const KeysAndValues keys_and_values = of_call.keys_and_values(0);
  const Queries queries = of_call.queries(0);
  PackedHead packed;
  Head head = packed.head();
  const auto memory = std::make_unique<Workspace>();
  Workspace& work = *memory;
  const Kernels& kernels = cpu_scalar::kernels();
  kernels.pack(keys_and_values, recipe, head);    // once per (batch, key head)
  kernels.quantize(queries, head, recipe, work);  // for each 128 queries; any order, any thread
  kernels.attend(queries, head, recipe, work);
  EXPECT_TRUE(at::equal(call.out, attend(q, k, v, {.precision = Precision::int8})));
}

TEST(Examples, OfCallParts) {
  const Recipe recipe = recipe_of(Precision::int8, at::kCPU);
  const AttendCall call = call_of(in, {.recipe = recipe});
  const Kernels& kernels = cpu_scalar::kernels();
  PackedHead packed;
  Head head = packed.head();
  const auto memory = std::make_unique<Workspace>();
  Workspace& work = *memory;
  const CallParts parts(call, 128);                        // queries in blocks of 128
  kernels.pack(parts.keys_and_values(0), recipe, head);    // for each of parts.key_heads()
  kernels.quantize(parts.queries(0), head, recipe, work);  // for each of parts.key_heads() * parts.blocks()
  EXPECT_EQ(head.finite, 1);
}

#if defined(__x86_64__)
TEST(Examples, OfFlash) {
  if (!x86_features().avx512_vnni) GTEST_SKIP() << "the processor has no AVX-512";
  const AttendCall call = call_of(in, {});
  const CallParts parts(call, flash_queries);
  const KeysAndValues keys_and_values = parts.keys_and_values(0);
  const Queries queries = parts.queries(0);
  std::vector<float> keys(flash_keys * 64), values(flash_keys * 64);
  const FlashHead head{keys.data(), values.data(), 64, 64};
  const std::int64_t block = 0;
  const auto memory = std::make_unique<FlashWorkspace>();
  FlashWorkspace& work = *memory;
  const FlashKernels& kernels = cpu_flash_avx512::kernels();
  kernels.pack(keys_and_values, block, head);  // for each 128 keys of a (batch, key head)
  kernels.attend(queries, head, work);         // for each 32 queries
  EXPECT_LE(largest_difference(call.out, attend(q, k, v, {.backend = "cpu-flash"})), 0);
}
#endif

TEST(Examples, OfShareOut) {
  const std::int64_t blocks = 100, grain = 1;
  std::vector<int> worked(blocks);
  const auto work_on = [&](std::int64_t block, const std::vector<float>&) {
    worked[static_cast<std::size_t>(block)]++;
  };
  share_out(0, blocks, grain, [&](const auto& next) {  // on each thread
    std::vector<float> memory(1024);
    while (const std::optional<std::int64_t> block = next()) work_on(*block, memory);
  });
  EXPECT_THAT(worked, testing::Each(1));
}

struct Unit;  // in an anonymous namespace of the unit that uses them (kernels.h)
using L = ScalarLanes<Unit>;

TEST(Examples, OfLanes) {
  alignas(64) const float a[tile] = {1}, b[tile] = {2};
  struct Unit;  // in an anonymous namespace of the unit that uses them (kernels.h)
  using L = ScalarLanes<Unit>;
  const L::F sum = L::add(L::load(a), L::load(b));
  EXPECT_EQ(sum.x[0], 3);
}

using Work = Serial<L, ScalarProducts<L>>;  // the products, and the order in which they are done

const Kernels& integer_unit() {
  return KernelsOf<L, Serial<L, ScalarProducts<L>>>::table;  // all that a unit offers
}

struct Panel {
  static constexpr std::int64_t rows = 8, vectors = 2;
};

const FlashKernels& flash_unit() {
  return FlashKernelsOf<L, Panel>::table;  // all that a unit offers
}

TEST(Examples, OfUnits) {
  EXPECT_EQ(integer_unit().attend, (&KernelsOf<L, Work>::attend));
  EXPECT_NE(flash_unit().pack, nullptr);
}

}  // namespace
}  // namespace bitreel
