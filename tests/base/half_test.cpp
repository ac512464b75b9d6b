#include "base/half.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstdint>
#include <limits>

namespace bitreel {
namespace {

template <class T>
T bits_of(std::uint32_t bits) {
  return {static_cast<std::uint16_t>(bits)};
}

template <class T>
std::uint16_t narrowed(float x) {
  T out{};
  narrow(x, out);
  return out.bits;
}

// Every number of 16 bits keeps its bits on the way to fp32 and back; NaN stays NaN.
template <class T>
void expect_all_come_back() {
  std::uint32_t changed = 0;
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float x = widened(bits_of<T>(bits));
    changed += std::isnan(x) ? !std::isnan(widened(bits_of<T>(narrowed<T>(x)))) : narrowed<T>(x) != bits;
  }
  EXPECT_EQ(changed, 0U);
}

TEST(Half, ComesBackFromFp32) {
  expect_all_come_back<Bf16>();
  expect_all_come_back<Fp16>();
}

TEST(Half, IsWhatItsBitsSay) {
  EXPECT_EQ(widened(Bf16{0x3f80}), 1.0F);
  EXPECT_EQ(widened(Bf16{0xff80}), -std::numeric_limits<float>::infinity());
  EXPECT_EQ(widened(Fp16{0x3c00}), 1.0F);
  EXPECT_EQ(widened(Fp16{0x0001}), 0x1p-24F);
  EXPECT_EQ(widened(Fp16{0x7bff}), 65504.0F);
}

TEST(Half, IsRoundedToTheNearestHalvesToEven) {
  EXPECT_EQ(narrowed<Bf16>(1 + 0x1p-8F), 0x3f80) << "a half, to even";
  EXPECT_EQ(narrowed<Bf16>(1 + 0x1.8p-7F), 0x3f82) << "a half, to even";
  EXPECT_EQ(narrowed<Bf16>(1 + 0x1.02p-8F), 0x3f81);
  EXPECT_EQ(narrowed<Bf16>(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_EQ(narrowed<Fp16>(1 + 0x1p-11F), 0x3c00);
  EXPECT_EQ(narrowed<Fp16>(65519.996F), 0x7bff);
  EXPECT_EQ(narrowed<Fp16>(65520), 0x7c00);
  EXPECT_EQ(narrowed<Fp16>(-0x1p-25F), 0x8000) << "half of the smallest, to even";
  EXPECT_EQ(narrowed<Fp16>(0x1.8p-24F), 0x0002);
  EXPECT_TRUE(std::isnan(widened(Bf16{narrowed<Bf16>(std::nanf(""))})));
}

}  // namespace
}  // namespace bitreel
