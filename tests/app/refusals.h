// Command lines that bitreel refuses, and what a refusal looks like.
//
//   expect_refusal(run_bitreel({"generate", "--steps", "0"}), 2, {"--steps 0", "expected 1"});
#pragma once

#include <gmock/gmock.h>

#include <ostream>
#include <string>
#include <vector>

#include "tests/app/program.h"

namespace bitreel::test {

// The last lines on stderr are ours, and there is no sign of a crash.
inline void expect_refusal(const Outcome& outcome, int code, const Strings& texts) {
  using testing::AllOf, testing::HasSubstr, testing::Not;
  EXPECT_EQ(outcome.code, code) << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("bitreel: "), Not(HasSubstr("terminate")), Not(HasSubstr("frame #0"))));
  for (const std::string& text : texts) EXPECT_THAT(outcome.err, HasSubstr(text));
}

}  // namespace bitreel::test
