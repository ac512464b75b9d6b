// Drawings: the same scene as SVG and as PNG, and the round numbers on axes.
#include "app/reports/scene.h"

#include <gmock/gmock.h>

#include <opencv2/imgcodecs.hpp>

#include "app/reports/chart.h"

namespace bitreel::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr Colour blue{0, 114, 178}, red{213, 94, 0};

cv::Mat decoded(const Scene& scene) {
  const std::string png = to_png(scene);
  return cv::imdecode(std::vector<uchar>(png.begin(), png.end()), cv::IMREAD_COLOR);
}

Colour at(const cv::Mat& picture, int x, int y) {
  const auto& pixel = picture.at<cv::Vec3b>(y, x);
  return {pixel[2], pixel[1], pixel[0]};
}

int dark_pixels(const cv::Mat& picture, const cv::Rect& within) {
  int count = 0;
  for (int y = within.y; y < within.br().y; ++y) {
    for (int x = within.x; x < within.br().x; ++x) count += at(picture, x, y).red < 128 ? 1 : 0;
  }
  return count;
}

TEST(Scene, HasTheSameShapesInBothFormats) {
  Scene scene{.width = 100, .height = 60};
  scene.add(Box{.x = 10, .y = 10, .width = 20, .height = 10, .fill = blue});
  scene.add(Dot{.x = 70, .y = 30, .radius = 8, .fill = red});
  scene.add(Curve{.points = {{10, 50}, {90, 50}}, .colour = red, .width = 2});
  EXPECT_THAT(to_svg(scene),
              AllOf(HasSubstr("<rect x=\"10.00\" y=\"10.00\" width=\"20.00\" height=\"10.00\" fill=\"#0072b2\"/>"),
                    HasSubstr("<circle cx=\"70.00\" cy=\"30.00\" r=\"8\" fill=\"#d55e00\"/>"),
                    HasSubstr("<polyline points=\"10.00,50.00 90.00,50.00\" fill=\"none\" stroke=\"#d55e00\"")));
  const cv::Mat picture = decoded(scene);
  ASSERT_EQ(picture.size(), cv::Size(200, 120)) << "twice the scene's";
  EXPECT_EQ(at(picture, 21, 21), blue);
  EXPECT_EQ(at(picture, 59, 39), blue);
  EXPECT_EQ(at(picture, 61, 39), (Colour{255, 255, 255}));
  EXPECT_EQ(at(picture, 140, 60), red);
  EXPECT_EQ(at(picture, 100, 100), red);
}

TEST(Scene, DashesLeaveGaps) {
  Scene solid{.width = 100, .height = 20}, dashed = solid;
  for (Scene* scene : {&solid, &dashed})
    scene->add(Curve{.points = {{10, 10}, {90, 10}},
                     .colour = {0, 0, 0},
                     .width = 2,
                     .stroke = scene == &dashed ? Stroke::dashed : Stroke::solid});
  const cv::Rect line(20, 20, 160, 1);
  EXPECT_GE(dark_pixels(decoded(solid), line), 159);
  EXPECT_THAT(dark_pixels(decoded(dashed), line), AllOf(testing::Gt(60), testing::Lt(140)));
  EXPECT_THAT(to_svg(solid), Not(HasSubstr("dasharray")));
  EXPECT_THAT(to_svg(dashed), HasSubstr("stroke-dasharray=\"5 4\""));
}

TEST(Scene, WordsStandWhereTheirAnchorSays) {
  const auto drawn = [](Anchor anchor, Direction direction) {
    Scene scene{.width = 200, .height = 200};
    scene.add(Words{.x = 100, .y = 100, .text = "layer", .size = 20, .anchor = anchor, .direction = direction});
    return decoded(scene);
  };
  const cv::Rect left(0, 150, 200, 70), right(200, 150, 200, 70), above(150, 0, 70, 200), below(150, 200, 70, 200);
  EXPECT_EQ(dark_pixels(drawn(Anchor::start, Direction::across), left), 0);
  EXPECT_GT(dark_pixels(drawn(Anchor::start, Direction::across), right), 100);
  EXPECT_GT(dark_pixels(drawn(Anchor::end, Direction::across), left), 100);
  EXPECT_GT(dark_pixels(drawn(Anchor::start, Direction::upwards), above), 100);
  EXPECT_LT(dark_pixels(drawn(Anchor::start, Direction::upwards), below), 5);
  EXPECT_GT(dark_pixels(drawn(Anchor::end, Direction::upwards), below), 100);
}

TEST(Scene, EscapesWords) {
  Scene scene;
  scene.add(Words{.x = 10, .y = 20, .text = "a<b> & \xC3\xA9\n"});
  scene.add(Words{.x = 630, .y = 355, .text = "over the edge"});
  EXPECT_THAT(to_svg(scene), HasSubstr(">a&lt;b&gt; &amp; ??"
                                       "?</text>"));
  EXPECT_EQ(decoded(scene).cols, 1280);
}

TEST(Ticks, AreRoundNumbers) {
  EXPECT_THAT(ticks(0, 1, 5),
              ElementsAre(testing::DoubleEq(0), testing::DoubleEq(0.2), testing::DoubleEq(0.4),
                          testing::DoubleNear(0.6, 1e-12), testing::DoubleEq(0.8), testing::DoubleEq(1)));
  EXPECT_THAT(ticks(0, 29, 6), ElementsAre(0, 5, 10, 15, 20, 25));
  EXPECT_THAT(ticks(887, 1000, 3), ElementsAre(900, 950, 1000));
  EXPECT_THAT(ticks(3, 3, 5), ElementsAre(3));
  EXPECT_EQ(tick_text(0.30000000000000004, 0.1), "0.3");
  EXPECT_EQ(tick_text(0, 0.05), "0.00");
  EXPECT_EQ(tick_text(1500, 500), "1500");
}

}  // namespace
}  // namespace bitreel::test
