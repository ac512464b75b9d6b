// The examples of the headers in attention/cuda/ (tests/app/manuals_test.cpp compares), on whatever machine: without a
// GPU they say what is missing, and the quantization pass runs on the host (cuda_on_host.h).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "attention/cuda/cuda_backend.h"
#include "attention/cuda/load_cuda.h"
#include "attention/cuda/load_plugin.h"
#include "attention/cuda/quantize.cuh"
#include "attention/recipes.h"
#include "tests/attention/calls.h"

namespace bitreel {
namespace {

// The quantization pass as the plugin offers it, on the host.
int quantize_on_host(const cuda::SourceCall& source, const Recipe& recipe, const cuda::PackedCall& call, void*) {
  return cuda::quantize_heads(source, recipe, call, nullptr);
}

TEST(Examples, OfTheCudaLibrary) {
  const std::string missing = load_cuda();
  EXPECT_EQ(missing.empty(), cuda_is_loaded());
}

TEST(Examples, OfThePlugin) {
  const std::string missing = cuda::missing_plugin();
  const int capability = missing.empty() ? cuda::loaded_plugin().compute_capability() : 0;
  EXPECT_EQ(missing.empty(), capability > 0);
}

TEST(Examples, OfCudaBackends) {
  for (const Backend& backend : cuda_backends()) fmt::print("{}: {}\n", backend.name, backend.missing(at::kCUDA));
  EXPECT_EQ(cuda_backends().size(), 3U);
}

TEST(Examples, OfAPreparedCall) {
  const Inputs in = cpu_inputs({.queries = 20, .keys = 300}, 24);
  const AttendCall call = call_of(in, {.recipe = recipe_from("int8@cpu+smooth-v=off", at::kCPU)});
  void* const stream = nullptr;
  cuda::Plugin plugin = {};
  plugin.quantize = quantize_on_host;
  {
    using namespace cuda;
    const PackedFormats formats = {IntegerFormat::bytes, KeyScales::token, ValueFormat::int8};
    const PreparedCall prepared(call, formats);
    plugin.quantize(prepared.source(), *call.recipe, prepared.packed(), stream);
    const PackedTensors written = prepared.tensors();
    const at::Tensor scales = written.k_scales;
    EXPECT_EQ(scales.sizes(), at::IntArrayRef({1, 1, 384}));
    EXPECT_GT(scales[0][0][0].item<float>(), 0);
  }
}

}  // namespace
}  // namespace bitreel
