#include "pipelines/image/picture_decoders.h"

#include <fmt/format.h>
#include <libexif/exif-data.h>
#include <turbojpeg.h>
#include <webp/decode.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "base/error.h"
#include "pipelines/video/libav.h"

extern "C" {
#include <libavutil/pixdesc.h>
}

namespace bitreel {
namespace {

const unsigned char* data_of(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

Picture blank(std::int64_t width, std::int64_t height, const PictureLimits& most) {
  if (width > most.side || height > most.side)
    throw Error(fmt::format("{}x{} pixels, expected at most {} a side", width, height, most.side));
  if (width * height > most.pixels)
    throw Error(fmt::format("{}x{} pixels, expected at most {} in all", width, height, most.pixels));
  return {
      .width = width, .height = height, .rgb = std::vector<std::uint8_t>(static_cast<std::size_t>(width * height * 3))};
}

// Where EXIF says that the camera was turned: 1 to 8, as in its specification.
int orientation_of(std::string_view bytes) {
  const std::unique_ptr<ExifData, decltype(&exif_data_unref)> exif(
      exif_data_new_from_data(data_of(bytes), static_cast<unsigned>(bytes.size())), exif_data_unref);
  if (!exif) return 1;
  const ExifEntry* entry = exif_content_get_entry(exif->ifd[EXIF_IFD_0], EXIF_TAG_ORIENTATION);
  if (entry == nullptr || entry->format != EXIF_FORMAT_SHORT || entry->size < 2) return 1;
  const int orientation = exif_get_short(entry->data, exif_data_get_byte_order(exif.get()));
  return orientation >= 1 && orientation <= 8 ? orientation : 1;
}

Picture turned(Picture picture, int orientation) {
  if (orientation == 1) return picture;
  const bool transposed = orientation >= 5;
  // Of the stored picture's axes: 2, 3, 7 and 8 run along its width backwards, 3, 4, 6 and 7 along its height.
  const bool right_to_left = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool bottom_up = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Picture upright{.width = transposed ? picture.height : picture.width,
                  .height = transposed ? picture.width : picture.height,
                  .rgb = std::vector<std::uint8_t>(picture.rgb.size())};
  for (std::int64_t y = 0; y < upright.height; ++y) {
    for (std::int64_t x = 0; x < upright.width; ++x) {
      std::int64_t column = transposed ? y : x, row = transposed ? x : y;
      if (right_to_left) column = picture.width - 1 - column;
      if (bottom_up) row = picture.height - 1 - row;
      std::copy_n(picture.rgb.begin() + (row * picture.width + column) * 3, 3,
                  upright.rgb.begin() + (y * upright.width + x) * 3);
    }
  }
  return upright;
}

Picture decode_jpeg(std::string_view bytes, const PictureLimits& most) {
  const std::unique_ptr<void, decltype(&tjDestroy)> decoder(tjInitDecompress(), tjDestroy);
  const auto check = [&](int result) {
    const std::string reason = tjGetErrorStr2(decoder.get());
    // Other remarks, such as bytes between markers, leave a whole picture.
    const bool whole = tjGetErrorCode(decoder.get()) == TJERR_WARNING && reason.find("Premature") == reason.npos;
    if (result != 0 && !whole) throw Error(reason);
  };
  int width = 0, height = 0, sampling = 0, space = 0;
  check(tjDecompressHeader3(decoder.get(), data_of(bytes), bytes.size(), &width, &height, &sampling, &space));
  Picture picture = blank(width, height, most);
  const auto decode_into = [&](std::vector<std::uint8_t>& pixels, TJPF format) {
    // Each scan of a progressive file costs a pass over the whole picture, be it a few bytes long: at most 500.
    check(tjDecompress2(decoder.get(), data_of(bytes), bytes.size(), pixels.data(), width, 0, height, format,
                        TJFLAG_LIMITSCANS));
  };
  if (space != TJCS_CMYK && space != TJCS_YCCK) {
    decode_into(picture.rgb, TJPF_RGB);
    return picture;
  }
  // Adobe's files hold inks inverted: how much of the paper shows through.
  std::vector<std::uint8_t> inks(picture.rgb.size() / 3 * 4);
  decode_into(inks, TJPF_CMYK);
  for (std::size_t pixel = 0; pixel < inks.size() / 4; ++pixel) {
    for (std::size_t channel = 0; channel < 3; ++channel) {
      picture.rgb[pixel * 3 + channel] =
          static_cast<std::uint8_t>(inks[pixel * 4 + channel] * inks[pixel * 4 + 3] / 255);
    }
  }
  return picture;
}

Picture decode_webp(std::string_view bytes, const PictureLimits& most) {
  int width = 0, height = 0;
  if (WebPGetInfo(data_of(bytes), bytes.size(), &width, &height) == 0) throw Error("not a WebP file");
  Picture picture = blank(width, height, most);
  if (WebPDecodeRGBInto(data_of(bytes), bytes.size(), picture.rgb.data(), picture.rgb.size(), width * 3) == nullptr)
    throw Error("a damaged WebP file");
  return picture;
}

// 16-bit samples cut to their upper 8 bits; any other format as it is.
FramePtr upper_bytes(FramePtr frame) {
  static constexpr std::pair<AVPixelFormat, AVPixelFormat> narrower[] = {
      {AV_PIX_FMT_GRAY16BE, AV_PIX_FMT_GRAY8}, {AV_PIX_FMT_GRAY16LE, AV_PIX_FMT_GRAY8},
      {AV_PIX_FMT_YA16BE, AV_PIX_FMT_YA8},     {AV_PIX_FMT_YA16LE, AV_PIX_FMT_YA8},
      {AV_PIX_FMT_RGB48BE, AV_PIX_FMT_RGB24},  {AV_PIX_FMT_RGB48LE, AV_PIX_FMT_RGB24},
      {AV_PIX_FMT_RGBA64BE, AV_PIX_FMT_RGBA},  {AV_PIX_FMT_RGBA64LE, AV_PIX_FMT_RGBA}};
  const auto* found = std::ranges::find(narrower, static_cast<AVPixelFormat>(frame->format),
                                        &std::pair<AVPixelFormat, AVPixelFormat>::first);
  if (found == std::end(narrower)) return frame;
  const AVPixFmtDescriptor* stored = av_pix_fmt_desc_get(found->first);
  const int upper = (stored->flags & AV_PIX_FMT_FLAG_BE) != 0 ? 0 : 1;
  FramePtr narrow = make_frame(found->second, frame->width, frame->height);
  const int samples = frame->width * stored->nb_components;
  for (int y = 0; y < frame->height; ++y) {
    const std::uint8_t* from = frame->data[0] + std::ptrdiff_t{y} * frame->linesize[0];
    std::uint8_t* to = narrow->data[0] + std::ptrdiff_t{y} * narrow->linesize[0];
    for (int sample = 0; sample < samples; ++sample) to[sample] = from[2 * sample + upper];
  }
  return narrow;
}

Picture decode_by_libav(std::string_view bytes, AVCodecID codec, const PictureLimits& most) {
  keep_libav_log();
  const AVCodec* decoder = avcodec_find_decoder(codec);
  if (decoder == nullptr) throw Error(fmt::format("this libav has no decoder of {}", avcodec_get_name(codec)));
  const CodecContextPtr context(check_allocated(avcodec_alloc_context3(decoder)));
  context->thread_count = 1;
  context->max_pixels = most.pixels;
  // Of TIFF, AV_EF_EXPLODE refuses every tag that libav has no use for; files cut short it refuses without.
  context->err_recognition = AV_EF_CRCCHECK | (codec == AV_CODEC_ID_TIFF ? 0 : AV_EF_EXPLODE);
  check_libav(avcodec_open2(context.get(), decoder, nullptr), avcodec_get_name(codec));
  const PacketPtr packet = make_packet();
  check_libav(av_new_packet(packet.get(), static_cast<int>(bytes.size())), "picture");  // libav wants room behind it
  std::memcpy(packet->data, bytes.data(), bytes.size());
  FramePtr frame = make_frame();
  check_libav(avcodec_send_packet(context.get(), packet.get()), "damaged");
  check_libav(avcodec_send_packet(context.get(), nullptr), "damaged");
  check_libav(avcodec_receive_frame(context.get(), frame.get()), "damaged");
  Picture picture = blank(frame->width, frame->height, most);
  frame = upper_bytes(std::move(frame));
  const ScalerPtr scaler(check_allocated(
      sws_getContext(frame->width, frame->height, static_cast<AVPixelFormat>(frame->format), frame->width,
                     frame->height, AV_PIX_FMT_RGB24, SWS_POINT, nullptr, nullptr, nullptr)));
  std::uint8_t* const rows[] = {picture.rgb.data()};
  const int stride[] = {frame->width * 3};
  check_libav(sws_scale(scaler.get(), frame->data, frame->linesize, 0, frame->height, rows, stride), "pixel format");
  return picture;
}

}  // namespace

std::optional<Picture> decode_picture(std::string_view bytes, const PictureLimits& most) {
  using namespace std::string_view_literals;
  if (bytes.starts_with("\xff\xd8\xff"sv)) return turned(decode_jpeg(bytes, most), orientation_of(bytes));
  if (bytes.starts_with("RIFF"sv) && bytes.size() >= 12 && bytes.substr(8, 4) == "WEBP"sv)
    return decode_webp(bytes, most);
  if (bytes.starts_with("\x89PNG\r\n\x1a\n"sv)) return decode_by_libav(bytes, AV_CODEC_ID_PNG, most);
  if (bytes.starts_with("BM"sv)) return decode_by_libav(bytes, AV_CODEC_ID_BMP, most);
  if (bytes.starts_with("II*\0"sv) || bytes.starts_with("MM\0*"sv))
    return decode_by_libav(bytes, AV_CODEC_ID_TIFF, most);
  return std::nullopt;
}

}  // namespace bitreel
