#include "pipelines/image/picture.h"

#include <fmt/format.h>

#include <cctype>
#include <fstream>
#include <iterator>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/written_file.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

std::string read_bytes(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    throw UsageError(fmt::format("{}: this is a folder, expected a picture", path.string()));
  }
  std::ifstream file(path, std::ios::binary);
  if (!file)
    throw UsageError(fmt::format("{}: no such file, or it can't be read", path.string()), "give a picture's path");
  constexpr std::uintmax_t most_bytes = std::uintmax_t{1} << 30;
  if (fs::file_size(path, ignored) > most_bytes) {
    throw UsageError(fmt::format("{}: larger than 1 GiB, expected a picture", path.string()));
  }
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  if (bytes.empty()) throw UsageError(fmt::format("{}: the file is empty, expected a picture", path.string()));
  return bytes;
}

// APNG has an acTL chunk before its first IDAT; WebP a flag in its VP8X chunk; GIF is taken for an animation.
bool is_animated(std::string_view bytes) {
  constexpr std::string_view png = "\x89PNG", gif = "GIF8";
  if (bytes.starts_with(gif)) return true;
  if (bytes.starts_with(png)) {
    const std::size_t data = bytes.find("IDAT"), control = bytes.find("acTL");
    return control != bytes.npos && (data == bytes.npos || control < data);
  }
  constexpr std::size_t flags_at = 20;
  constexpr unsigned animation_flag = 0x02;
  const bool extended_webp = bytes.starts_with("RIFF") && bytes.size() > flags_at && bytes.substr(8, 8) == "WEBPVP8X";
  return extended_webp && (static_cast<unsigned char>(bytes[flags_at]) & animation_flag) != 0;
}

std::string lower_extension(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return extension;
}

std::vector<int> encoding_of(const std::string& extension, const fs::path& path) {
  if (extension == ".png") return {cv::IMWRITE_PNG_COMPRESSION, 6};
  if (extension == ".jpg" || extension == ".jpeg") return {cv::IMWRITE_JPEG_QUALITY, 95};
  if (extension == ".webp") return {cv::IMWRITE_WEBP_QUALITY, 101};  // above 100: lossless
  throw UsageError(fmt::format("{}: \"{}\" is no kind of picture that is written", path.string(), extension),
                   "end the name in .png, .jpg or .webp");
}

}  // namespace

Picture read_picture(const fs::path& path) {
  const std::string bytes = read_bytes(path);
  if (is_animated(bytes)) {
    throw UsageError(fmt::format("{}: a GIF or an animation, expected a still picture", path.string()),
                     "save the frame that you mean as a PNG");
  }
  cv::Mat bgr;
  std::string reason = "not a picture that can be read";
  try {
    const cv::Mat raw(1, static_cast<int>(bytes.size()), CV_8UC1, const_cast<char*>(bytes.data()));  // only read from
    bgr = cv::imdecode(raw, cv::IMREAD_COLOR);
  } catch (const cv::Exception& error) {
    reason = error.err;
  }
  if (bgr.empty()) {
    throw UsageError(fmt::format("{}: {}", path.string(), reason), "expected a PNG, JPEG, WebP, TIFF or BMP file");
  }
  if (bgr.cols > most_picture_side || bgr.rows > most_picture_side) {
    throw UsageError(fmt::format("{}: {}x{} pixels, expected at most {} a side", path.string(), bgr.cols, bgr.rows,
                                 most_picture_side),
                     "make the picture smaller first");
  }
  cv::Mat rgb;
  cv::cvtColor(bgr, rgb, cv::COLOR_BGR2RGB);
  return {.width = rgb.cols, .height = rgb.rows, .rgb = {rgb.data, rgb.data + rgb.total() * rgb.elemSize()}};
}

void check_can_be_written(const fs::path& path) {
  (void)encoding_of(lower_extension(path), path);
}

void write_picture(const fs::path& path, const Picture& picture) {
  const std::string extension = lower_extension(path);
  const std::vector<int> encoding = encoding_of(extension, path);
  const cv::Mat rgb(static_cast<int>(picture.height), static_cast<int>(picture.width), CV_8UC3,
                    const_cast<std::uint8_t*>(picture.rgb.data()));  // only read from
  cv::Mat bgr;
  cv::cvtColor(rgb, bgr, cv::COLOR_RGB2BGR);
  std::vector<unsigned char> bytes;
  bool encoded = false;
  try {
    encoded = cv::imencode(extension, bgr, bytes, encoding);
  } catch (const cv::Exception& error) {
    throw Error(fmt::format("{}: the picture can't be encoded: {}", path.string(), error.err));
  }
  if (!encoded) throw Error(fmt::format("{}: the picture can't be encoded", path.string()));
  write_whole(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace bitreel
