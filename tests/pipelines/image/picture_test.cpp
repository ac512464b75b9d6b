// Pictures: files of every kind as Pillow reads them, resized to Pillow's bytes, written and read back.
#include "pipelines/image/picture.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "base/json_file.h"
#include "pipelines/image/clip_image_processor.h"
#include "tests/error_text.h"
#include "tests/files.h"
#include "tests/golden.h"
#include "tests/temporary_folder.h"

namespace bitreel {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Picture picture_of(const at::Tensor& rgb) {
  const at::Tensor whole = rgb.contiguous();
  const auto* data = whole.const_data_ptr<std::uint8_t>();
  return {.width = whole.size(1), .height = whole.size(0), .rgb = {data, data + whole.numel()}};
}

at::Tensor bytes_of(const Picture& picture) {
  return to_tensor(picture).squeeze(0).permute({1, 2, 0}).to(at::kByte);
}

class Pictures : public testing::Test {
 protected:
  Golden golden{"unidiffuser_pictures"};
  SafetensorsFile sizes = SafetensorsFile::open(golden.folder() / "resized.safetensors");

  [[nodiscard]] std::string file(const std::string& name) const { return (golden.folder() / "files" / name).string(); }
  std::string refusal(const std::string& name) const {
    return error_text<UsageError>([&] { (void)read_picture(file(name)); });
  }
};

TEST_F(Pictures, ResizeToPillowsBytes) {
  int compared = 0;
  for (int i = 0; i < 7; ++i) {
    const std::string name = "picture." + std::to_string(i);
    const Picture picture = picture_of(sizes.tensor(name));
    for (const auto& [kind, filter] :
         {std::pair{"lanczos", Resampling::lanczos}, std::pair{"bicubic", Resampling::bicubic}}) {
      for (const PictureSize size : {PictureSize{16, 16}, PictureSize{9, 40}}) {
        const std::string stored =
            name + "." + kind + "." + std::to_string(size.width) + "x" + std::to_string(size.height);
        EXPECT_TRUE(at::equal(bytes_of(resized(picture, size, filter)), sizes.tensor(stored))) << stored;
        ++compared;
      }
    }
  }
  EXPECT_EQ(compared, 28);
}

TEST_F(Pictures, ResizeToAPartAsToTheWhole) {
  constexpr PictureWindow part{.left = 5, .top = 3, .size = {8, 11}};
  for (int i = 0; i < 7; ++i) {
    const Picture picture = picture_of(sizes.tensor("picture." + std::to_string(i)));
    const std::int64_t unchanged = std::max<std::int64_t>(picture.width, 13);
    for (const PictureSize whole : {PictureSize{16, 16}, PictureSize{13, 40}, PictureSize{unchanged, 14}}) {
      for (const Resampling filter : {Resampling::bilinear, Resampling::bicubic, Resampling::lanczos}) {
        const at::Tensor cut = bytes_of(resized(picture, whole, filter)).narrow(0, 3, 11).narrow(1, 5, 8);
        EXPECT_TRUE(at::equal(bytes_of(resized(picture, whole, filter, part)), cut)) << i;
      }
    }
  }
}

TEST_F(Pictures, OfOneLineAreSeenByTheirMiddleAlone) {
  Picture line{.width = 1, .height = 32768, .rgb = std::vector<std::uint8_t>(std::size_t{3} * 32768, 200)};
  const ClipImageProcessor unscaled{.do_rescale = false, .do_normalize = false};
  EXPECT_TRUE(preprocessed(line, unscaled).equal(at::full({1, 3, 224, 224}, 200.0F)));
  std::swap(line.width, line.height);
  EXPECT_TRUE(preprocessed(line, unscaled).equal(at::full({1, 3, 224, 224}, 200.0F)));
}

TEST_F(Pictures, ArePreparedForClipAsThePeerDoes) {
  const ClipImageProcessor processor =
      read_clip_image_processor(read_json(golden.folder() / "preprocessor_config.json"));
  for (int i = 0; i < 7; ++i) {
    const std::string name = "picture." + std::to_string(i);
    golden.expect(preprocessed(picture_of(sizes.tensor(name)), processor), "clip", name, 1e-6);
    const Picture small = resized(picture_of(sizes.tensor(name)), {12, 12}, Resampling::lanczos);
    golden.expect(to_tensor(small) / 255 * 2 - 1, "vae", name, 1e-6);
  }
}

TEST_F(Pictures, OfEveryKindOfFileLookAsPillowShowsThem) {
  for (const char* name : {"plain.png", "grey.png", "palette.png", "alpha.png", "plain.webp", "sixteen.png"}) {
    EXPECT_TRUE(at::equal(bytes_of(read_picture(file(name))), golden.tensor("files", name))) << name;
  }
  for (const char* name : {"plain.jpg", "turned.jpg", "cmyk.jpg"}) {  // decoders differ in roundings
    const at::Tensor ours = bytes_of(read_picture(file(name))).to(at::kFloat),
                     pillows = golden.tensor("files", name).to(at::kFloat);
    ASSERT_EQ(ours.sizes(), pillows.sizes()) << name;
    EXPECT_LT((ours - pillows).abs().mean().item<double>(), 2) << name;
  }
}

// OpenCV's readers are the other opinion in the tests below.
cv::Mat stripes() {
  cv::Mat picture(24, 40, CV_8UC3);
  for (int y = 0; y < picture.rows; ++y) {
    for (int x = 0; x < picture.cols; ++x)
      picture.at<cv::Vec3b>(y, x) = {static_cast<uchar>(6 * x), static_cast<uchar>(10 * y), static_cast<uchar>(x < 9)};
  }
  return picture;
}

std::string encoded(const std::string& extension, const cv::Mat& picture) {
  std::vector<uchar> bytes;
  cv::imencode(extension, picture, bytes);
  return {bytes.begin(), bytes.end()};
}

Picture by_opencv(const std::string& bytes) {
  cv::Mat picture = cv::imdecode(std::vector<uchar>(bytes.begin(), bytes.end()), cv::IMREAD_COLOR);
  cv::cvtColor(picture, picture, cv::COLOR_BGR2RGB);
  return {.width = picture.cols, .height = picture.rows, .rgb = {picture.data, picture.data + 3 * picture.total()}};
}

TEST(PictureFiles, AreTurnedAsTheCameraWas) {
  const test::TemporaryFolder folder;
  const std::string jpeg = encoded(".jpg", stripes());
  for (char orientation = 1; orientation <= 8; ++orientation) {
    SCOPED_TRACE(static_cast<int>(orientation));
    // A TIFF header and one entry: tag 0x0112, a SHORT.
    std::string exif("Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0", 25);
    exif.push_back(orientation);
    exif.append(6, '\0');
    std::string turned = jpeg.substr(0, 2);  // the start of the image
    turned.append("\xff\xe1\0", 3).append(1, static_cast<char>(exif.size() + 2)).append(exif);
    turned.append(jpeg.substr(2));
    test::write_text(folder / "turned.jpg", turned);
    const Picture ours = read_picture(folder / "turned.jpg"), theirs = by_opencv(turned);
    EXPECT_EQ(ours.width, orientation > 4 ? 24 : 40);
    EXPECT_EQ(ours.width, theirs.width);
    EXPECT_EQ(ours.rgb, theirs.rgb);
  }
}

TEST(PictureFiles, OfEveryKindAndDepthAreRead) {
  const test::TemporaryFolder folder;
  const cv::Mat colour = stripes();
  cv::Mat grey, deep, alpha;
  cv::cvtColor(colour, grey, cv::COLOR_BGR2GRAY);
  cv::cvtColor(colour, alpha, cv::COLOR_BGR2BGRA);
  colour.convertTo(deep, CV_16U, 257);
  for (const std::string extension : {".png", ".bmp", ".tiff", ".webp"}) {
    for (const auto& [kind, picture] :
         {std::pair{"colour", colour}, std::pair{"grey", grey}, std::pair{"deep", deep}, std::pair{"alpha", alpha}}) {
      if (picture.depth() == CV_16U && (extension == ".bmp" || extension == ".webp")) continue;
      SCOPED_TRACE(kind + extension);
      const std::string bytes = encoded(extension, picture);
      test::write_text(folder / ("a" + extension), bytes);
      EXPECT_EQ(read_picture(folder / ("a" + extension)).rgb, by_opencv(bytes).rgb);
    }
  }
}

TEST(PictureFiles, CutShortAreRefused) {
  const test::TemporaryFolder folder;
  for (const std::string extension : {".png", ".jpg", ".bmp", ".tiff", ".webp"}) {
    const std::string bytes = encoded(extension, stripes());
    for (const double part : {0.1, 0.5, 0.9}) {
      SCOPED_TRACE(fmt::format("{} of {}", part, extension));
      test::write_text(folder / ("a" + extension), bytes.substr(0, static_cast<std::size_t>(part * bytes.size())));
      EXPECT_THROW((void)read_picture(folder / ("a" + extension)), UsageError);
    }
  }
}

TEST_F(Pictures, ThatAreNoneAreRefused) {
  for (const char* name : {"animated.png", "animated.webp", "animated.gif"}) {
    EXPECT_THAT(refusal(name), AllOf(HasSubstr(name), HasSubstr("expected a still picture")));
  }
  EXPECT_THAT(refusal("empty.png"), HasSubstr("the file is empty"));
  EXPECT_THAT(refusal("not-a-picture.png"), HasSubstr("damaged"));
  EXPECT_THAT(refusal("missing.png"), HasSubstr("cannot be read: No such file"));
  EXPECT_THAT(refusal("."), HasSubstr("it is a folder, expected a picture"));
}

TEST_F(Pictures, FortyThousandPixelsWideAreRefusedAndOnePixelIsRead) {
  const test::TemporaryFolder folder;
  write_picture(folder / "wide.png", {.width = 40'000, .height = 1, .rgb = std::vector<std::uint8_t>(120'000, 7)});
  EXPECT_THAT(error_text<UsageError>([&] { (void)read_picture(folder / "wide.png"); }),
              HasSubstr("40000x1 pixels, expected at most 32768"));
  write_picture(folder / "dot.png", {.width = 1, .height = 1, .rgb = {1, 2, 3}});
  EXPECT_EQ(read_picture(folder / "dot.png").rgb, (std::vector<std::uint8_t>{1, 2, 3}));
}

std::string jpeg_that_says(int width, int height) {
  std::string jpeg = encoded(".jpg", stripes());
  const std::size_t frame = jpeg.find("\xff\xc0");
  for (const auto& [at, value] : {std::pair{frame + 5, height}, std::pair{frame + 7, width}}) {
    jpeg[at] = static_cast<char>(value >> 8);
    jpeg[at + 1] = static_cast<char>(value & 0xff);
  }
  return jpeg;
}

TEST(PictureFiles, OfAThousandBytesThatSayThatTheyAreAGigapixelAreRefused) {
  const test::TemporaryFolder folder;
  test::write_text(folder / "a.jpg", jpeg_that_says(32768, 32768));
  EXPECT_THAT(error_text<UsageError>([&] { (void)read_picture(folder / "a.jpg"); }),
              AllOf(HasSubstr("32768x32768 pixels, expected at most 268435456 in all"),
                    HasSubstr("at most 32768 pixels a side, 268 million in all")));
  test::write_text(folder / "a.jpg", encoded(".jpg", stripes()));
  EXPECT_THAT(error_text<UsageError>([&] { (void)read_picture(folder / "a.jpg", {.pixels = 900}); }),
              HasSubstr("40x24 pixels, expected at most 900 in all"));
}

TEST(PictureFiles, OfMoreScansThanAnybodyNeedsAreRefused) {
  const test::TemporaryFolder folder;
  std::vector<uchar> bytes;
  cv::imencode(".jpg", stripes(), bytes, {cv::IMWRITE_JPEG_PROGRESSIVE, 1});
  const std::string jpeg(bytes.begin(), bytes.end());
  const std::size_t scan = jpeg.rfind("\xff\xda"), end = jpeg.size() - 2;
  std::string many = jpeg.substr(0, end);
  for (int i = 0; i < 600; ++i) many += jpeg.substr(scan, end - scan);
  test::write_text(folder / "a.jpg", many + jpeg.substr(end));
  EXPECT_THAT(error_text<UsageError>([&] { (void)read_picture(folder / "a.jpg"); }), HasSubstr("scans"));
}

TEST_F(Pictures, AreWrittenByTheirExtensionWholeOrNotAtAll) {
  const test::TemporaryFolder folder;
  const Picture picture = read_picture(file("plain.png"));
  for (const char* name : {"copy.png", "copy.webp", "COPY.PNG"}) {
    write_picture(folder / name, picture);
    EXPECT_EQ(read_picture(folder / name).rgb, picture.rgb) << name;
  }
  write_picture(folder / "copy.jpg", picture);
  EXPECT_EQ(read_picture(folder / "copy.jpg").width, picture.width);
  EXPECT_THAT(error_text<UsageError>([&] { write_picture(folder / "copy.xyz", picture); }),
              HasSubstr("no kind of picture"));
  EXPECT_THAT(error_text([&] { write_picture(folder / "nowhere/copy.png", picture); }), HasSubstr("nowhere/copy.png"));
  EXPECT_THAT(folder.names(), testing::ElementsAre("COPY.PNG", "copy.jpg", "copy.png", "copy.webp"));
}

TEST(ClipImageProcessor, CutsNoMoreThanThereIs) {
  const Picture small{.width = 2, .height = 3, .rgb = std::vector<std::uint8_t>(18)};
  EXPECT_THAT(error_text([&] { (void)preprocessed(small, {.do_resize = false}); }),
              HasSubstr("a picture of 2x3 pixels: clip_image_processor/preprocessor_config.json cuts out 224x224"));
}

TEST(ClipImageProcessor, ReadsOldAndNewConfigurations) {
  const auto read = [](const char* text) { return read_clip_image_processor(nlohmann::json::parse(text)); };
  EXPECT_EQ(read("{}").shortest_edge, 224);
  EXPECT_EQ(read(R"({"size": 24, "crop_size": 20})").crop_size.height, 20);
  const ClipImageProcessor both =
      read(R"({"size": {"height": 30, "width": 40}, "crop_size": {"height": 10, "width": 20}})");
  EXPECT_FALSE(both.shortest_edge);
  EXPECT_EQ(both.size.width, 40);
  EXPECT_EQ(both.crop_size.width, 20);
  EXPECT_THAT(error_text([&] { (void)read(R"({"size": 10, "crop_size": 20})"); }),
              HasSubstr("crop_size is 20x20, expected at most size, 10x10"));
  EXPECT_THAT(error_text([&] { (void)read(R"({"image_mean": [1, 2]})"); }), HasSubstr("expected three numbers"));
}

}  // namespace
}  // namespace bitreel
