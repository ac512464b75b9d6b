// The kernel of guided_step_call.h, run on the CPU (tests/attention/cuda/cuda_on_host.h), to the bits of guidance and a
// scheduler's step in LibTorch's operations on a GPU. On a CPU they round a coefficient to a 16-bit sample's dtype
// first.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include "pipelines/cogvideox/guidance.h"
#include "pipelines/layers/cuda/rows_plugin.h"
#include "schedulers/noise/step_terms.h"

extern "C" const bitreel::cuda::RowsPlugin* bitreel_cuda_rows(std::int64_t version);

namespace bitreel {
namespace {

Moved moved_as_on_a_gpu(const StepTerms& terms, const at::Tensor& v, const at::Tensor& sample) {
  const auto times = [&](double term, const at::Tensor& x) { return (x.to(at::kFloat) * term).to(x.scalar_type()); };
  const at::Tensor original = times(terms.signal, sample) - times(terms.noise, v);
  at::Tensor denoised = original;
  if (terms.previous.defined()) denoised = times(terms.fresh, original) - times(terms.stale, terms.previous);
  at::Tensor next = times(terms.keep, sample) + times(terms.pull, denoised);
  if (terms.drawn.defined()) next = next + times(terms.stir, terms.drawn);
  return {.next = next, .original = original};
}

TEST(GuidedStepOnHost, HasTheBitsOfLibTorchsOperations) {
  constexpr std::int64_t numbers = 2400;  // not whole blocks
  constexpr double guidance = 6.3;
  const auto drawn = [](at::IntArrayRef shape, std::uint64_t seed, at::ScalarType dtype) {
    return at::randn(shape, at::detail::createCPUGenerator(seed), at::TensorOptions(at::kFloat)).to(dtype);
  };
  for (const auto& [dtype, element] : {std::pair{at::kFloat, cuda::VolumeElement::fp32},
                                       {at::kBFloat16, cuda::VolumeElement::bf16},
                                       {at::kHalf, cuda::VolumeElement::fp16}}) {
    for (const bool guides : {true, false}) {
      for (const bool remembers : {true, false}) {
        for (const bool stirs : {true, false}) {
          SCOPED_TRACE(testing::Message() << dtype << (guides ? ", guided" : "")
                                          << (remembers ? ", with the one before" : "") << (stirs ? ", stirred" : ""));
          const at::Tensor predictions = drawn({guides ? 2 : 1, numbers}, 1, dtype),
                           sample = drawn({1, numbers}, 2, dtype);
          StepTerms terms{.signal = 0.83, .noise = 0.557, .keep = 1.01, .pull = -0.21};
          if (remembers) {
            terms.fresh = 1.4;
            terms.stale = 0.4;
            terms.previous = drawn({1, numbers}, 3, at::kFloat);
          }
          if (stirs) {
            terms.stir = 0.11;
            terms.drawn = drawn({1, numbers}, 4, dtype);
          }
          const at::Tensor wide = predictions.to(at::kFloat);
          const Moved expected = moved_as_on_a_gpu(terms, guides ? guided(wide, guidance) : wide, sample);
          const at::Tensor next = at::empty_like(sample), original = at::empty({1, numbers}, at::kFloat);
          const cuda::GuidedStepCall call{
              .element = element,
              .numbers = numbers,
              .prediction = {predictions[0].const_data_ptr(), guides ? predictions[1].const_data_ptr() : nullptr},
              .sample = sample.const_data_ptr(),
              .drawn = stirs ? terms.drawn.const_data_ptr() : nullptr,
              .previous = remembers ? terms.previous.const_data_ptr<float>() : nullptr,
              .next = next.mutable_data_ptr(),
              .original = original.mutable_data_ptr<float>(),
              .guidance = static_cast<float>(guidance),
              .signal = static_cast<float>(terms.signal),
              .noise = static_cast<float>(terms.noise),
              .keep = static_cast<float>(terms.keep),
              .pull = static_cast<float>(terms.pull),
              .fresh = static_cast<float>(terms.fresh),
              .stale = static_cast<float>(terms.stale),
              .stir = static_cast<float>(terms.stir)};
          ASSERT_EQ(bitreel_cuda_rows(cuda::rows_version)->guided_step(call, nullptr), 0);
          EXPECT_TRUE(at::equal(original, expected.original));
          EXPECT_TRUE(at::equal(next, expected.next.to(dtype)));
          const Moved on_cpu = moved_by(terms, guides ? guided(wide, guidance) : wide, sample);
          EXPECT_TRUE(at::allclose(original, on_cpu.original, 2e-2, 2e-2));
          EXPECT_TRUE(dtype != at::kFloat || at::equal(next, on_cpu.next));
        }
      }
    }
  }
}

}  // namespace
}  // namespace bitreel
