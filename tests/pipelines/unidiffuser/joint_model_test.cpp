// The joint model that comes with the program: it draws what it is told and tells what it is shown.
#include <gmock/gmock.h>

#include <array>

#include "pipelines/unidiffuser/pipeline.h"
#include "tests/pipelines/unidiffuser/results.h"

namespace bitreel {
namespace {

using Colour = std::array<int, 3>;

Colour colour_at(const Picture& picture, std::int64_t x, std::int64_t y) {
  const std::size_t place = static_cast<std::size_t>(3 * (y * picture.width + x));
  return {picture.rgb.at(place), picture.rgb.at(place + 1), picture.rgb.at(place + 2)};
}

TEST(JointModel, DrawsWhatItIsToldAndTellsWhatItIsShown) {
  UniDiffuser model(Checkpoint::open("assets/pocket-joint"), {.dtype = at::kFloat});
  Request drawing = model.default_request();
  drawing.prompt = "a large red circle in the center on a white background";
  drawing.steps = 20;
  drawing.seed = 1;
  Results drawn;
  model.decode(drawing, model.denoise(drawing, model.encode(drawing)), drawn.sink());
  ASSERT_EQ(drawn.pictures.size(), 1U);
  const Picture& picture = drawn.pictures[0];
  ASSERT_EQ(picture.width, 128);
  ASSERT_EQ(picture.height, 128);
  using testing::ElementsAre, testing::Gt, testing::Lt;
  EXPECT_THAT(colour_at(picture, 64, 64), ElementsAre(Gt(200), Lt(70), Lt(70)));
  EXPECT_THAT(colour_at(picture, 4, 4), testing::Each(Gt(225)));

  Request telling = model.default_request();
  telling.mode = "i2t";
  telling.picture = picture;
  telling.steps = 20;
  telling.guidance_scale = 4;
  telling.seed = 1;
  Results told;
  model.decode(telling, model.denoise(telling, model.encode(telling)), told.sink());
  ASSERT_EQ(told.texts.size(), 1U);
  const std::string& caption = told.texts[0];
  EXPECT_THAT(caption, testing::ContainsRegex("large red (circle|disc|disk)")) << caption;
  EXPECT_THAT(caption, testing::HasSubstr("white"));
}

}  // namespace
}  // namespace bitreel
