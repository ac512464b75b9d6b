#include "base/cpu_features.h"

#include <gmock/gmock.h>

namespace bitreel {
namespace {

#if defined(__x86_64__)
// As the compiler's own runtime reads the processor.
TEST(CpuFeatures, AreThoseThatTheCompilerSees) {
  const X86Features& has = x86_features();
  const bool avx2 = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
                      __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512dq") != 0;
  EXPECT_EQ(has.avx2, avx2);
  EXPECT_EQ(has.avx512, avx512);
  EXPECT_EQ(has.avx512_vnni,
            avx512 && __builtin_cpu_supports("avx512vbmi") != 0 && __builtin_cpu_supports("avx512vnni") != 0);
  EXPECT_TRUE(has.avx512_vnni || !has.amx_int8);
  EXPECT_TRUE(has.avx2 || !has.avx_vnni);
}
#endif

TEST(CpuFeatures, AreOfOneKindOfProcessor) {
  EXPECT_FALSE(x86_features().avx2 && arm_dot_products());
}

}  // namespace
}  // namespace bitreel
