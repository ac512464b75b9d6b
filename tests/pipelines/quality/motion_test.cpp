// Tracks made by hand: what counts as which motion, and what as none.
#include "pipelines/quality/motion.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numbers>
#include <optional>
#include <string>

namespace bitreel::quality {
namespace {

constexpr double pi = std::numbers::pi;

// pose_at: from clip time 0 to 1.
Track track_of(const std::function<Pose(double)>& pose_at, int every = 1) {
  Track track{.frames = 25, .sightings = {}};
  for (int t = 0; t < 25; t += every) track.sightings.push_back({.frame = t, .pose = pose_at(t / 24.0), .overlap = 1});
  return track;
}

struct Case {
  std::string name;
  std::function<Pose(double)> pose_at;
  std::optional<Motion> motion;
  Shape shape = Shape::square;
};

class Motions : public testing::TestWithParam<Case> {};

TEST_P(Motions, AreToldFromTheTrack) {
  EXPECT_EQ(find_motion(track_of(GetParam().pose_at), GetParam().shape), GetParam().motion);
}

INSTANTIATE_TEST_SUITE_P(
    All, Motions,
    testing::Values(
        Case{"Left", [](double u) { return Pose{.x = 0.4 - 0.8 * u, .radius = 0.2}; }, Motion::left},
        Case{"Right", [](double u) { return Pose{.x = 0.8 * u, .radius = 0.2}; }, Motion::right},
        Case{"Up", [](double u) { return Pose{.y = -0.8 * u, .radius = 0.2}; }, Motion::up},
        Case{"Down", [](double u) { return Pose{.y = 0.8 * u, .radius = 0.2}; }, Motion::down},
        Case{"Bounce", [](double u) { return Pose{.y = -0.5 * std::abs(std::cos(pi * u)), .radius = 0.2}; },
             Motion::bounce},
        Case{"BouncesTwice", [](double u) { return Pose{.y = -0.5 * std::abs(std::cos(2 * pi * u)), .radius = 0.2}; },
             Motion::bounce},
        Case{"Orbit",
             [](double u) {
               return Pose{.x = 0.35 * std::cos(1.5 * pi * u), .y = 0.35 * std::sin(1.5 * pi * u), .radius = 0.2};
             },
             Motion::orbit},
        Case{"Grow", [](double u) { return Pose{.radius = 0.1 + 0.2 * u}; }, Motion::grow},
        Case{"Shrink", [](double u) { return Pose{.radius = 0.3 - 0.2 * u}; }, Motion::shrink},
        Case{"GrowsWhileDrifting", [](double u) { return Pose{.x = 0.25 * u, .radius = 0.1 + 0.2 * u}; }, Motion::grow},
        Case{"Spin", [](double u) { return Pose{.radius = 0.2, .angle = 0.8 * pi * u}; }, Motion::spin},
        Case{"SpinsBackwards", [](double u) { return Pose{.radius = 0.2, .angle = -0.8 * pi * u}; }, Motion::spin},
        Case{"SpinSeenModuloItsSymmetry",
             [](double u) { return Pose{.radius = 0.2, .angle = std::remainder(0.8 * pi * u, pi / 2)}; }, Motion::spin},
        Case{"SpinInLeaps",  // frames that stay, then jump by almost half the symmetry
             [](double u) { return Pose{.radius = 0.2, .angle = 0.2 * pi * std::round(4 * u)}; }, Motion::spin},
        Case{"TurningThereAndBackIsNone",
             [](double u) { return Pose{.radius = 0.2, .angle = 0.5 * pi * std::sin(2 * pi * u)}; },
             {}},
        Case{"ARingCannotBeSeenToSpin", [](double u) { return Pose{.radius = 0.2, .angle = 0.8 * pi * u}; },
             Motion::still, Shape::ring},
        Case{"Still", [](double) { return Pose{.radius = 0.2}; }, Motion::still},
        Case{
            "StillThoughItTrembles",
            [](double u) { return Pose{.x = 0.05 * std::sin(40 * u), .radius = 0.2, .angle = 0.2 * std::sin(30 * u)}; },
            Motion::still},
        Case{"ADiagonalIsNone", [](double u) { return Pose{.x = 0.6 * u, .y = 0.6 * u, .radius = 0.2}; }, {}},
        Case{
            "ThereAndBackAcrossIsNone", [](double u) { return Pose{.x = 0.6 * std::abs(u - 0.5), .radius = 0.2}; }, {}},
        Case{"SwellingAndShrinkingIsNone", [](double u) { return Pose{.radius = 0.1 + 0.2 * std::sin(pi * u)}; }, {}}),
    [](const auto& info) { return info.param.name; });

TEST(Motion, NeedsMostOfTheFrames) {
  const auto right = [](double u) { return Pose{.x = 0.8 * u, .radius = 0.2}; };
  EXPECT_EQ(find_motion(track_of(right, 2), Shape::square), std::nullopt);
  EXPECT_EQ(find_motion({.frames = 25, .sightings = {}}, Shape::square), std::nullopt);
}

TEST(Motion, IsNotMadeByOneBadFrame) {
  Track track = track_of([](double) { return Pose{.radius = 0.2}; });
  track.sightings[9].pose = {.x = 0.9, .y = -0.3, .radius = 0.6};
  EXPECT_EQ(find_motion(track, Shape::square), Motion::still);
}

}  // namespace
}  // namespace bitreel::quality
