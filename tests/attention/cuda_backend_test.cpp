// The CUDA kernels beyond what every backend is tested for (backends_test.cpp, behaviour_test.cpp and others, which run
// on a GPU with BITREEL_TEST_DEVICE=cuda): the bytes of the quantization pass, streams and graphs, long sequences.
// On a machine without a GPU, or without the plugin, these skip and say why.
#include "attention/cuda/cuda_backend.h"
#include "attention/registry.h"

#include <ATen/ATen.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>
#include <gtest/gtest.h>

#include "attention/attention.h"
#include "tests/attention/calls.h"
#include "tests/attention/packed_checks.h"
#include "tests/attention/tolerances.h"

namespace bitreel {
namespace {

class CudaKernels : public testing::Test {
 protected:
  void SetUp() override {
    if (!test_device().is_cuda()) GTEST_SKIP() << "BITREEL_TEST_DEVICE is not cuda";
    const std::string missing = mma().missing(at::kCUDA);
    if (!missing.empty()) GTEST_SKIP() << missing;
  }
  static const Backend& mma() { return backend_named("cuda-mma"); }
  static std::vector<const Backend*> kernels() {
    std::vector<const Backend*> all;
    for (const Backend& backend : cuda_backends()) {
      if (backend.missing(at::kCUDA).empty()) all.push_back(&backend);
    }
    return all;
  }
};

// Small, and without the oracle: what compute-sanitizer watches (./dev test-gpu).
TEST_F(CudaKernels, RunEveryRecipeTwiceAlike) {
  struct Small {
    Shape shape;
    at::ScalarType dtype;
    Causality causality;
    double counting_keys;
  };
  const Small calls[] = {
      {{.query_heads = 4, .key_heads = 2, .queries = 130, .keys = 200}, at::kBFloat16, Causality::none, 1},
      {{.batch = 2, .queries = 70, .keys = 150, .dim = 128}, at::kHalf, Causality::bottom_right, 0.7},
      {{.queries = 33, .keys = 65, .dim = 37}, at::kFloat, Causality::none, 0.5}};
  for (const Small& small : calls) {
    Inputs in = random_inputs(small.shape, 20, small.dtype);
    in.v.select(2, small.shape.keys - 1).mul_(64);  // beyond what a sample's scale has room for
    Asked asked = {.causality = small.causality,
                   .key_mask = small.counting_keys < 1 ? random_mask(in, small.counting_keys, 5) : at::Tensor()};
    for (const std::string& text : recipe_texts()) {
      asked.recipe = recipe_from(text, at::kCUDA);
      for (const Backend* backend : kernels()) {
        if (!backend->refuses(call_of(in, asked)).empty()) continue;
        const Answer first = run(*backend, in, asked), again = run(*backend, in, asked);
        EXPECT_TRUE(first.out.isfinite().all().item<bool>()) << backend->name << " " << text;
        EXPECT_TRUE(at::equal(first.out, again.out)) << backend->name << " " << text;
        EXPECT_TRUE(at::equal(first.log_sum_exp, again.log_sum_exp)) << backend->name << " " << text;
      }
    }
  }
}

// The same for heads before their norms (tests/pipelines/cogvideox/elementwise_test.cpp has the numbers).
TEST_F(CudaKernels, RunEveryRecipeTwiceAlikeBeforeNorms) {
  const Inputs in =
      random_inputs({.batch = 2, .query_heads = 3, .key_heads = 3, .queries = 200, .keys = 200}, 20, at::kBFloat16);
  const at::Tensor weight = at::ones({64}, in.q.options()), bias = at::zeros({64}, in.q.options());
  const at::Tensor angles = at::ones({150, 32}, in.q.options().dtype(at::kFloat));
  const HeadNorms::Norm norm = {.weight = weight, .bias = bias, .eps = 1e-6};
  const HeadNorms norms = {.q = norm, .k = norm, .cos = angles, .sin = angles, .first_rotated = 50};
  for (const std::string& text : recipe_texts()) {
    const AttendOptions options = {.recipe = recipe_from(text, at::kCUDA)};
    const auto first = attend_before_norms(in.q, in.k, in.v, norms, options),
               again = attend_before_norms(in.q, in.k, in.v, norms, options);
    EXPECT_EQ(first.has_value(), again.has_value());
    EXPECT_TRUE(!first || (at::equal(*first, *again) && first->isfinite().all().item<bool>())) << text;
  }
}

TEST_F(CudaKernels, QuantizeToTheOraclesBits) {
  const Shape shapes[] = {{.query_heads = 2, .key_heads = 2, .queries = 300, .keys = 1400},
                          {.queries = 128, .keys = 129, .dim = 128},
                          {.queries = 5, .keys = 70, .dim = 37}};
  for (const Shape& shape : shapes) {
    for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf, at::kFloat}) {
      Inputs in = random_inputs(shape, 21, dtype);
      in.k.add_(3 * normal({shape.dim}, 22).to(in.k.device(), dtype));
      in.v.add_(0.3);
      for (const std::string& text : recipe_texts()) {
        for (const Backend* backend : kernels()) {
          const AttendCall call = call_of(in, {.recipe = recipe_from(text, at::kCUDA)});
          if (!backend->refuses(call).empty()) continue;
          SCOPED_TRACE(testing::Message() << backend->name << " " << text << " " << shape << " " << dtype);
          const cuda::PackedTensors packed = quantize_on_cuda(call, *backend);
          for (std::int64_t head = 0; head < shape.query_heads; ++head) expect_integers_of_oracle(packed, call, head);
        }
      }
    }
  }
}

TEST_F(CudaKernels, RoundValuesBeyondTheirScalesAgainToTheOraclesBits) {
  for (const at::ScalarType dtype : {at::kBFloat16, at::kFloat}) {
    for (const std::int64_t dim : {64, 128}) {
      Inputs in =
          random_inputs({.query_heads = 2, .key_heads = 2, .queries = 64, .keys = 17776, .dim = dim}, 23, dtype);
      put_values_beyond_samples(in.v);
      in.k = at::round(in.k * 8) / 8;  // whose means are exact too
      for (const char* text : {"int8", "int4", "sage2-8b+v-scale=sampled+v-mean=exact"}) {
        for (const Backend* backend : kernels()) {
          const AttendCall call = call_of(in, {.recipe = recipe_from(text, at::kCUDA)});
          if (!backend->refuses(call).empty()) continue;
          SCOPED_TRACE(testing::Message() << backend->name << " " << text << " " << dim << " " << dtype);
          const cuda::PackedTensors packed = quantize_on_cuda(call, *backend);
          for (std::int64_t head = 0; head < 2; ++head) expect_integers_of_oracle(packed, call, head);
        }
      }
    }
  }
}

TEST_F(CudaKernels, AttendOnTheCurrentStreamAndInGraphs) {
  using Begin = int (*)(void* stream, int mode);
  using End = int (*)(void* stream, void** graph);
  using Instantiate = int (*)(void** executable, void* graph, unsigned long long flags);
  using Launch = int (*)(void* executable, void* stream);
  const auto begin = reinterpret_cast<Begin>(dlsym(RTLD_DEFAULT, "cudaStreamBeginCapture"));
  const auto end = reinterpret_cast<End>(dlsym(RTLD_DEFAULT, "cudaStreamEndCapture"));
  const auto instantiate = reinterpret_cast<Instantiate>(dlsym(RTLD_DEFAULT, "cudaGraphInstantiate"));
  const auto launch = reinterpret_cast<Launch>(dlsym(RTLD_DEFAULT, "cudaGraphLaunch"));
  ASSERT_TRUE(begin != nullptr && end != nullptr && instantiate != nullptr && launch != nullptr);

  const c10::impl::VirtualGuardImpl devices(at::kCUDA);
  const c10::Stream stream = devices.getNewStream(test_device().has_index() ? test_device() : at::Device("cuda:0"), 0);
  for (const char* text : {"int8", "int4"}) {
    for (const Backend* backend : kernels()) {
      Inputs in = random_inputs({.query_heads = 2, .key_heads = 2, .queries = 200, .keys = 300}, 30, at::kBFloat16);
      const Inputs other =
          random_inputs({.query_heads = 2, .key_heads = 2, .queries = 200, .keys = 300}, 31, at::kBFloat16);
      const AttendCall call = call_of(in, {.recipe = recipe_from(text, at::kCUDA)});
      if (!backend->refuses(call).empty()) continue;
      const at::Tensor expected = run(*backend, other, {.recipe = recipe_from(text, at::kCUDA)}).out.clone();
      devices.synchronizeStream(devices.getStream(in.q.device()));
      const c10::StreamGuard on(stream);
      backend->run(call);  // memory is there and kernels are loaded, as at a model's first step
      constexpr int relaxed = 2;
      void *graph = nullptr, *executable = nullptr;
      ASSERT_EQ(begin(stream.native_handle(), relaxed), 0);
      backend->run(call);
      ASSERT_EQ(end(stream.native_handle(), &graph), 0) << backend->name;
      ASSERT_EQ(instantiate(&executable, graph, 0), 0);
      in.q.copy_(other.q);
      in.k.copy_(other.k);
      in.v.copy_(other.v);
      ASSERT_EQ(launch(executable, stream.native_handle()), 0);
      devices.synchronizeStream(stream);
      EXPECT_TRUE(at::equal(call.out, expected)) << backend->name << " " << text;
    }
  }
}

// Rows of a long call, against the oracle for just them.
TEST_F(CudaKernels, DoTheArithmeticAtTheLengthOfAVideo) {
  const Shape shape = {.query_heads = 2, .key_heads = 2, .queries = 17776, .keys = 17776};
  Inputs in = random_inputs(shape, 40, at::kBFloat16);
  in.k.add_(2 * normal({shape.dim}, 41).to(in.k.device(), at::kBFloat16));
  constexpr std::int64_t first = 70 * query_block, last = 72 * query_block;
  const Inputs some = {in.q.slice(2, first, last), in.k, in.v};
  for (const char* text : {"int8", "int4", "sage1-b", "sage1-vt", "sage2-8b", "sage2-4b"}) {
    const Answer oracle = run(backend_named("emulated"), some, {.recipe = recipe_from(text, at::kCUDA)});
    for (const Backend* backend : kernels()) {
      if (!backend->refuses(call_of(in, {.recipe = recipe_from(text, at::kCUDA)})).empty()) continue;
      const Answer whole = run(*backend, in, {.recipe = recipe_from(text, at::kCUDA)});
      const Answer rows = {whole.out.slice(2, first, last), whole.log_sum_exp.slice(2, first, last)};
      EXPECT_TRUE(same_arithmetic(*backend, some, oracle, rows)) << backend->name << " " << text;
    }
  }
}

// Beyond a call's own tensors: bytes of packed numbers and their scales, and the bias of smoothed queries.
TEST_F(CudaKernels, HoldBoundedMemory) {
  c10::DeviceAllocator& allocator = *c10::getDeviceAllocator(at::kCUDA);
  const auto held = [&] { return allocator.getDeviceStats(0).allocated_bytes[0]; };
  for (const Shape& shape : {Shape{.batch = 2, .query_heads = 30, .key_heads = 30, .queries = 17776, .keys = 17776},
                             Shape{.query_heads = 48, .key_heads = 48, .queries = 45106, .keys = 45106}}) {
    const std::vector<std::int64_t> sizes = {shape.batch, shape.query_heads, shape.queries, shape.dim};
    const at::TensorOptions bf16 = at::TensorOptions(at::kBFloat16).device(test_device());
    const Inputs in = {at::randn(sizes, bf16), at::randn(sizes, bf16), at::randn(sizes, bf16)};
    for (const char* text : {"int8", "int4", "sage2-4b"}) {
      AttendCall call = call_of(in, {.recipe = recipe_from(text, at::kCUDA)});
      const Backend& backend = choose_backend(call, "").backend;
      allocator.resetPeakStats(0);
      const std::int64_t before = held().current;
      backend.run(call);
      const double bytes = static_cast<double>(held().peak - before);
      const double bias = call.recipe->smooth_q == Smoothing::on ? static_cast<double>(cuda::bias_bytes) : 0;
      EXPECT_LE(bytes, 3.5 * static_cast<double>(in.q.numel()) + bias) << backend.name << " " << text << " " << shape;
    }
  }
}

// One tensor of 2^31 elements and more, of which the first and last tokens differ from the rest.
TEST_F(CudaKernels, ReachOffsetsBeyond32Bits) {
  constexpr std::int64_t tokens = 70, stride = std::int64_t{1} << 25;
  const at::TensorOptions bytes = at::TensorOptions(at::kBFloat16).device(test_device());
  at::Tensor far;
  try {
    far = at::empty({tokens * stride}, bytes);
  } catch (const c10::Error&) {
    GTEST_SKIP() << "no " << (tokens * stride * 2 >> 30) << " GiB of memory for it on the GPU";
  }
  const Inputs near = random_inputs({.queries = tokens, .keys = tokens}, 50, at::kBFloat16);
  std::int64_t used = 0;
  const auto hold = [&](const at::Tensor& x) {
    const at::Tensor view = at::as_strided(far, x.sizes(), {0, 0, stride, 1}, used);
    used += 64;
    return view.copy_(x);
  };
  const Inputs spread = {hold(near.q), hold(near.k), hold(near.v)};
  for (const char* text : {"int8", "int4"}) {
    for (const Backend* backend : kernels()) {
      AttendCall call = call_of(spread, {.recipe = recipe_from(text, at::kCUDA)});
      if (!backend->refuses(call).empty()) continue;
      call.out = at::as_strided(far, near.q.sizes(), {0, 0, stride, 1}, used);
      backend->run(call);
      EXPECT_TRUE(at::equal(call.out, run(*backend, near, {.recipe = recipe_from(text, at::kCUDA)}).out))
          << backend->name;
    }
  }
}

}  // namespace
}  // namespace bitreel
