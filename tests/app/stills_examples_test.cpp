// The examples of headers about modes, pictures and texts, as they stand there.
#include <gmock/gmock.h>

#include "app/files/output_files.h"
#include "app/files/still_files.h"
#include "pipelines/model/modes.h"
#include "pipelines/model/tally.h"
#include "tests/temporary_folder.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

// Examples write into out/.
class InOut {
 public:
  InOut() : before_(fs::current_path()) {
    fs::create_directory(folder_ / "out");
    fs::current_path(folder_.path());
  }
  ~InOut() { fs::current_path(before_); }
  InOut(const InOut&) = delete;
  InOut& operator=(const InOut&) = delete;

 private:
  test::TemporaryFolder folder_;
  fs::path before_;
};

TEST(StillExamples, OfModes) {
  const std::vector<Mode> modes = {{.name = "t2i", .takes = Medium::text, .makes = {Medium::image}},
                                   {.name = "i2t", .takes = Medium::image, .makes = {Medium::text}},
                                   {.name = "joint", .makes = {Medium::image, Medium::text}}};
  choose_mode(modes, "", {Medium::image}).name;  // i2t: without a name, the first whose input is given
  EXPECT_EQ(choose_mode(modes, "", {Medium::image}).name, "i2t");
}

TEST(StillExamples, OfTallies) {
  Tally tally;
  tally.product(1536, 6144, 1105);  // a linear map of 1105 tokens
  tally.holds(1536 + 1536);         // a norm
  const double bytes = 2 * tally.parameters, flop = tally.flop;
  EXPECT_EQ(bytes, 2.0 * (1536 * 6144 + 6144 + 2 * 1536));
  EXPECT_EQ(flop, 2.0 * 1536 * 6144 * 1105);
}

TEST(StillExamples, OfFiles) {
  const InOut out;
  const Mode joint{.name = "joint", .makes = {Medium::image, Medium::text}};
  const fs::path output = output_for("out/cat", joint, 7);  // out/cat.png
  output_files(output, joint, 1).texts.front();             // out/cat.txt
  output_files(output, joint, 3).pictures.back();           // out/cat-3.png
  EXPECT_EQ(output, "out/cat.png");
  EXPECT_EQ(output_files(output, joint, 1).texts.front(), "out/cat.txt");
  EXPECT_EQ(output_files(output, joint, 3).pictures.back(), "out/cat-3.png");

  const nlohmann::ordered_json provenance = {{"bitreel", "0"}};
  const std::vector<std::uint8_t> rgb(12, 200);
  const Frame frame{.rgb = rgb.data(), .width = 2, .height = 2};
  StillFiles stills(output_files("out/cat.png", joint, 1), provenance);
  stills.push_picture(frame);
  stills.push_text("a red circle on navy");
  stills.finish({{"seconds", 1.5}});
  EXPECT_EQ(read_picture("out/cat.png").rgb, rgb);
  EXPECT_TRUE(fs::exists("out/cat.txt"));
  EXPECT_TRUE(fs::exists("out/cat.png.json"));
}

}  // namespace
}  // namespace bitreel
