// SageAttention's rule, on inputs where it is known what holds: plain ones, and ones whose keys need smoothing.
#include "attention/choose.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/attention/protocol.h"
#include "tests/error_text.h"

namespace bitreel {
namespace {

CapturedCall captured(const Inputs& in, const AttendOptions& options = {}) {
  return {in.q, in.k, in.v, options};
}

Inputs named(const std::string& name) {
  for (const InputSet& set : protocol_inputs()) {
    if (set.name == name) return set.in;
  }
  throw std::out_of_range(name);
}

const Recipe eight = recipe_from("sage1-vb"), careful = recipe_from("sage1-t"), four = recipe_from("int4");

TEST(FastestThatHolds, IsTheFastestOfThoseThatHold) {
  const CapturedCall calls[] = {captured(named("LogitDeviation1")), captured(named("Uniform"))};
  const Candidate candidates[] = {{careful, 3}, {eight, 2}, {four, 1}};
  EXPECT_EQ(fastest_that_holds(calls, candidates), eight) << "four bits do not reach 0.998";
  EXPECT_EQ(fastest_that_holds(calls, candidates, 0.9), four);
  EXPECT_EQ(fastest_that_holds(calls, candidates, 0.9998), careful);
  EXPECT_EQ(fastest_that_holds(calls, candidates, 1), std::nullopt) << "full precision";
  EXPECT_EQ(fastest_that_holds(calls, {}), std::nullopt);
}

TEST(FastestThatHolds, HoldsOnEveryCall) {
  const Candidate candidates[] = {{four, 1}, {careful, 2}};
  const CapturedCall easy[] = {captured(named("Uniform")), captured(named("EqualKeys"))};
  EXPECT_EQ(fastest_that_holds(easy, candidates), four);
  const CapturedCall one_is_hard[] = {captured(named("Uniform")), captured(named("EqualKeys")),
                                      captured(named("LogitDeviation3"))};
  EXPECT_EQ(fastest_that_holds(one_is_hard, candidates), careful);
}

TEST(FastestThatHolds, KeepsTheCallsOwnOptions) {
  // At a scale of nothing all keys weigh alike, and four bits of q and k do no harm.
  const CapturedCall flat[] = {captured(named("LogitDeviation3"), {.scale = 1e-6})};
  const Candidate candidates[] = {{four, 1}, {careful, 2}};
  EXPECT_EQ(fastest_that_holds(flat, candidates), four);
}

TEST(FastestThatHolds, NeedsCalls) {
  EXPECT_THAT(error_text([] { (void)fastest_that_holds({}, {}); }), testing::HasSubstr("no captured calls"));
}

}  // namespace
}  // namespace bitreel
