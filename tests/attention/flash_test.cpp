// The fp32 kernel's instruction sets against each other. What it computes is tested over the table of backends, with
// the set that this machine prefers.
#include "attention/cpu/flash.h"
#include "attention/registry.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

#include "attention/cpu/flash_backend.h"
#include "base/cpu_features.h"
#include "tests/attention/calls.h"

namespace bitreel {
namespace {

#if defined(__x86_64__)
Backend with(void (*run)(const AttendCall&)) {
  Backend backend = backend_named("cpu-flash");
  backend.run = run;
  return backend;
}

TEST(FlashKernels, GiveTheSameBitsWithAvx2AndAvx512) {
  if (!x86_features().avx512_vnni) GTEST_SKIP() << "the processor has no AVX-512";
  const Backend narrow = with([](const AttendCall& call) { run_flash(cpu_flash_avx2::kernels(), call); });
  const Backend wide = with([](const AttendCall& call) { run_flash(cpu_flash_avx512::kernels(), call); });
  const Shape shapes[] = {{1, 1, 1, 1, 1, 1}, {2, 4, 2, 33, 270, 64}, {1, 2, 1, 150, 290, 37}, {1, 1, 1, 65, 129, 128}};
  for (const Shape& shape : shapes) {
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
      const Inputs in = cpu_inputs(shape, 1, dtype);
      for (const Causality causality : {Causality::none, Causality::bottom_right}) {
        SCOPED_TRACE(testing::Message() << shape << " " << dtype);
        const Asked asked = {.causality = causality, .key_mask = random_mask(in, 0.8, 2)};
        const Answer a = run(narrow, in, asked), b = run(wide, in, asked);
        EXPECT_TRUE(at::equal(a.out, b.out));
        EXPECT_TRUE(at::equal(a.log_sum_exp, b.log_sum_exp));
      }
    }
  }
}
#endif

// LibTorch's gives zeros.
TEST(FlashKernels, GiveNaNWhereAllLogitsAreMinusInfinity) {
  if (!backend_named("cpu-flash").missing(at::kCPU).empty())
    GTEST_SKIP() << backend_named("cpu-flash").missing(at::kCPU);
  Inputs in = cpu_inputs({.queries = 40, .keys = 140}, 1);
  in.q.select(3, 5).fill_(1);
  in.k.select(3, 5).fill_(-std::numeric_limits<float>::infinity());
  const Answer answer = run(backend_named("cpu-flash"), in, {}, Poison::number),
               truth = run(backend_named("reference"), in, {});
  EXPECT_TRUE(answer.out.isnan().all().item<bool>());
  EXPECT_TRUE(at::equal(answer.log_sum_exp, truth.log_sum_exp));
}

}  // namespace
}  // namespace bitreel
