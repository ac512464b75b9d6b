// domain.json, read strictly.
#include "pipelines/quality/domain.h"

#include <gmock/gmock.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "tests/files.h"
#include "tests/temporary_folder.h"

namespace bitreel::quality {
namespace {

using nlohmann::json;

class DomainFile : public testing::Test {
 protected:
  Domain read(const std::string& text) { return Domain::read(test::write_text(folder_ / "domain.json", text)); }

 private:
  test::TemporaryFolder folder_;
};

json good() {
  return json::parse(test::read_text("assets/pocket/domain.json"));
}

TEST_F(DomainFile, OfTheDefaultModelIsRead) {
  const Domain domain = Domain::read("assets/pocket/domain.json");
  EXPECT_EQ(domain.width, 128);
  EXPECT_EQ(domain.frames, 25);
  EXPECT_EQ(domain.colours.size(), 8U);
  EXPECT_EQ(domain.backgrounds.size(), 6U);
  EXPECT_EQ(domain.shapes.size(), 6U);
  EXPECT_EQ(domain.motions.size(), 10U);
  EXPECT_EQ(domain.places.size(), 9U);
  EXPECT_EQ(domain.sizes.front().name, "small");
  EXPECT_EQ(domain.sizes.back().name, "large");
}

// A judge by nearest colour needs colours that lie apart, objects from backgrounds too.
TEST_F(DomainFile, HoldsColoursThatCanBeToldApart) {
  const Domain domain = Domain::read("assets/pocket/domain.json");
  std::vector<NamedColour> all = domain.colours;
  all.insert(all.end(), domain.backgrounds.begin(), domain.backgrounds.end());
  for (size_t i = 0; i < all.size(); ++i)
    for (size_t k = 0; k < i; ++k)
      EXPECT_GT(cv::norm(all[i].lab - all[k].lab), 15) << all[i].name << " and " << all[k].name;
}

TEST_F(DomainFile, MistakesAreNamed) {
  struct Mistake {
    std::function<void(json&)> make;
    std::string message;
  };
  const std::vector<Mistake> mistakes{
      {[](json& d) { d.erase("frames"); }, "has no key frames"},
      {[](json& d) { d["frame"] = 25; }, "unknown key frame"},
      {[](json& d) { d["width"] = "128"; }, "width is \"128\", expected a whole number"},
      {[](json& d) { d["height"] = 1; }, "height is 1, expected 16 to 4096"},
      {[](json& d) {
         d["colours"]["red"] = {1, 2, 0};
       },
       "colours.red is 2, expected 0 to 1"},
      {[](json& d) {
         d["colours"]["red"] = {1, 0};
       },
       "expected [r, g, b]"},
      {[](json& d) { d["backgrounds"] = json::object(); }, "backgrounds is not an object"},
      {[](json& d) { d["sizes"]["small"] = 0; }, "sizes.small is 0"},
      {[](json& d) { d["shapes"].push_back("hexagon"); }, "shapes holds \"hexagon\", which the judge cannot see"},
      {[](json& d) { d["motions"] = {1}; }, "motions holds 1, which the judge cannot see"},
      {[](json& d) { d["places"] = json::object(); }, "places is not an object"},
      {[](json& d) { d["places"]["left"] = {-0.5}; }, "places.left is [-0.5], expected [x, y]"},
      {[](json& d) { d["places"]["left"][0] = -2; }, "places.left is -2, expected -1 to 1"},
      {[](json& d) { d["words"] = 1; }, "words is not an object"},
      {[](json& d) { d["words"].erase("sizes"); }, "words.sizes is not an object"},
      {[](json& d) { d["words"]["size"] = json::object(); }, "unknown key words.size"},
      {[](json& d) { d["words"]["shapes"]["oval"] = {"oval"}; }, "words.shapes holds oval"},
      {[](json& d) { d["words"]["shapes"]["ring"] = json::array(); }, "words.shapes.ring is []"}};
  for (const Mistake& mistake : mistakes) {
    json domain = good();
    mistake.make(domain);
    EXPECT_THAT([&] { read(domain.dump()); }, testing::ThrowsMessage<Error>(testing::HasSubstr(mistake.message)));
  }
  EXPECT_THROW(read("{"), Error);
  EXPECT_THROW(Domain::read("no/such/domain.json"), Error);
}

}  // namespace
}  // namespace bitreel::quality
