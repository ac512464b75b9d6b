#include "base/number_text.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>

namespace bitreel {
namespace {

TEST(NumberText, TakesTheWholeTextOrNothing) {
  EXPECT_EQ(number_from<std::int64_t>("-3"), -3);
  EXPECT_EQ(number_from<double>("23.976"), 23.976);
  for (const char* text : {"", " 12", "12 ", "+12", "12x", "x", "1.5"})
    EXPECT_EQ(number_from<int>(text), std::nullopt) << text;
}

TEST(NumberText, HasNothingForWhatTheTypeDoesNotHold) {
  EXPECT_EQ(number_from<std::uint8_t>("255"), 255);
  EXPECT_EQ(number_from<std::uint8_t>("256"), std::nullopt);
  EXPECT_EQ(number_from<std::uint64_t>("-1"), std::nullopt);
}

}  // namespace
}  // namespace bitreel
