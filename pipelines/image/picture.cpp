#include "pipelines/image/picture.h"

#include <fmt/format.h>

#include <turbojpeg.h>
#include <webp/encode.h>
#include <cctype>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/input_file.h"
#include "base/png.h"
#include "base/written_file.h"
#include "pipelines/image/picture_decoders.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

std::string read_bytes(const fs::path& path) {
  std::string bytes = read_file<UsageError>(path, {.expected = "a picture", .most_bytes = std::uintmax_t{1} << 30});
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

std::string as_png(const Picture& picture) {
  return png_of(picture.rgb.data(),
                {.width = static_cast<int>(picture.width), .height = static_cast<int>(picture.height)});
}

std::string as_jpeg(const Picture& picture) {
  constexpr int quality = 95;
  const std::unique_ptr<void, decltype(&tjDestroy)> encoder(tjInitCompress(), tjDestroy);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  const int failed =
      tjCompress2(encoder.get(), picture.rgb.data(), static_cast<int>(picture.width), 0,
                  static_cast<int>(picture.height), TJPF_RGB, &bytes, &size, TJSAMP_420, quality, TJFLAG_ACCURATEDCT);
  const std::unique_ptr<unsigned char, decltype(&tjFree)> owner(bytes, tjFree);
  if (failed != 0) throw Error(tjGetErrorStr2(encoder.get()));
  return {reinterpret_cast<const char*>(bytes), size};
}

std::string as_webp(const Picture& picture) {
  std::uint8_t* bytes = nullptr;
  const std::size_t size =
      WebPEncodeLosslessRGB(picture.rgb.data(), static_cast<int>(picture.width), static_cast<int>(picture.height),
                            static_cast<int>(picture.width) * 3, &bytes);
  const std::unique_ptr<std::uint8_t, decltype(&WebPFree)> owner(bytes, WebPFree);
  if (size == 0) throw Error("libwebp refuses it: at most 16383 pixels a side");
  return {reinterpret_cast<const char*>(bytes), size};
}

using Encode = std::string (*)(const Picture&);

Encode encoder_of(const fs::path& path) {
  const std::string extension = lower_extension(path);
  if (extension == ".png") return as_png;
  if (extension == ".jpg" || extension == ".jpeg") return as_jpeg;
  if (extension == ".webp") return as_webp;
  throw UsageError(fmt::format("{}: \"{}\" is no kind of picture that is written", path.string(), extension),
                   "end the name in .png, .jpg or .webp");
}

}  // namespace

Picture read_picture(const fs::path& path, const PictureLimits& most) {
  const std::string bytes = read_bytes(path);
  if (is_animated(bytes)) {
    throw UsageError(fmt::format("{}: a GIF or an animation, expected a still picture", path.string()),
                     "save the frame that you mean as a PNG");
  }
  std::optional<Picture> picture;
  std::string reason = "not a picture that can be read";
  try {
    picture = decode_picture(bytes, most);
  } catch (const Error& error) {
    reason = error.what();
  }
  if (!picture) {
    throw UsageError(
        fmt::format("{}: {}", path.string(), reason),
        fmt::format("expected a PNG, JPEG, WebP, TIFF or BMP file of at most {} pixels a side, {} million in all",
                    most.side, most.pixels / 1'000'000));
  }
  return *std::move(picture);
}

void check_can_be_written(const fs::path& path) {
  (void)encoder_of(path);
}

void write_picture(const fs::path& path, const Picture& picture) {
  const Encode encode = encoder_of(path);
  std::string bytes;
  try {
    bytes = encode(picture);
  } catch (const Error& error) {
    throw Error(fmt::format("{}: the picture can't be encoded: {}", path.string(), error.what()));
  }
  write_whole(path, bytes);
}

}  // namespace bitreel
