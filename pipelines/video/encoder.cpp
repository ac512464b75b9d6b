#include "pipelines/video/encoder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "pipelines/video/colour.h"

extern "C" {
#include <libavutil/dict.h>
#include <libavutil/pixdesc.h>
}

namespace bitreel {
namespace {

int round_up(int size, int log2_step) {
  return ((size - 1) >> log2_step << log2_step) + (1 << log2_step);
}

struct Size {
  int width;
  int height;
  bool operator==(const Size&) const = default;
};

Size stored_size(const Encoder& encoder, AVPixelFormat format, Size frame) {
  if (encoder.sizes == Sizes::any) return frame;
  const AVPixFmtDescriptor* description = av_pix_fmt_desc_get(format);
  return {round_up(frame.width, description->log2_chroma_w), round_up(frame.height, description->log2_chroma_h)};
}

struct FreeDictionary {
  void operator()(AVDictionary* dictionary) const { av_dict_free(&dictionary); }
};

// Null with the reason in `refusal` when the encoder doesn't take these settings.
CodecContextPtr try_open(const Codec& codec, const Encoder& encoder, const VideoOptions& options, Size stored,
                         GlobalHeader header, std::string& refusal) {
  const AVCodec* found = avcodec_find_encoder_by_name(std::string(encoder.name).c_str());
  CodecContextPtr context(check_allocated(avcodec_alloc_context3(found)));
  context->width = stored.width;
  context->height = stored.height;
  context->pix_fmt = av_get_pix_fmt(std::string(codec.pixel_format).c_str());
  context->framerate = av_d2q(options.fps, 1001000);
  context->time_base = av_inv_q(context->framerate);
  context->sample_aspect_ratio = {1, 1};
  context->thread_count = 0;  // as many as libav sees fit
  const ColourTags tags = tags_of(context->pix_fmt);
  context->color_primaries = tags.primaries;
  context->color_trc = tags.transfer;
  context->colorspace = tags.space;
  context->color_range = tags.range;
  context->chroma_sample_location = tags.chroma;
  if (header == GlobalHeader::yes) context->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;

  AVDictionary* settings = nullptr;
  check_libav(av_dict_parse_string(&settings, std::string(encoder.options).c_str(), "=", ":", 0), "encoder settings");
  if (codec.crf)
    av_dict_set_int(&settings, std::string(encoder.quality).c_str(), options.crf.value_or(codec.crf->standard), 0);
  const int opened = avcodec_open2(context.get(), found, &settings);
  const std::unique_ptr<AVDictionary, FreeDictionary> unused(settings);
  if (opened < 0) {
    refusal = fmt::format("{}: {}", encoder.name, libav_reason(opened));
    return nullptr;
  }
  // libav leaves what it doesn't know; a setting without effect would be a lie of the table.
  if (const AVDictionaryEntry* left = av_dict_get(unused.get(), "", nullptr, AV_DICT_IGNORE_SUFFIX)) {
    refusal = fmt::format("{}: this libav doesn't know its setting {}", encoder.name, left->key);
    return nullptr;
  }
  return context;
}

}  // namespace

CodecContextPtr open_encoder(const Codec& codec, const VideoOptions& options, int width, int height,
                             GlobalHeader header, std::vector<std::string>& events) {
  const Size frame{width, height};
  const AVPixelFormat format = av_get_pix_fmt(std::string(codec.pixel_format).c_str());
  std::vector<std::string> refusals;
  std::vector<Encoder> encoders;
  for (const Encoder& encoder : available_encoders(codec)) {
    if (width >= encoder.smallest && height >= encoder.smallest) {
      encoders.push_back(encoder);
    } else {
      refusals.push_back(fmt::format("{0} needs at least {1}x{1}", encoder.name, encoder.smallest));
    }
  }
  // Encoders that store this size as it is go first, in the table's order.
  const auto padded = std::stable_partition(encoders.begin(), encoders.end(), [&](const Encoder& encoder) {
    return stored_size(encoder, format, frame) == frame;
  });
  if (padded != encoders.begin()) {
    for (auto encoder = padded; encoder != encoders.end(); ++encoder) {
      refusals.push_back(fmt::format("{} stores even sizes only", encoder->name));
    }
  }
  for (const Encoder& encoder : encoders) {
    const Size stored = stored_size(encoder, format, frame);
    std::string refusal;
    CodecContextPtr context = try_open(codec, encoder, options, stored, header, refusal);
    if (!context) {
      refusals.push_back(std::move(refusal));
      continue;
    }
    if (encoder.name != codec.encoders.front().name) {
      events.push_back(fmt::format("{} is encoded by {} instead of {}{}{}", codec.name, encoder.name,
                                   codec.encoders.front().name, refusals.empty() ? "" : ": ",
                                   fmt::join(refusals, "; ")));
    }
    if (stored != frame) {
      events.push_back(fmt::format("{} stores even sizes only: {}x{} is written as {}x{}, the last {} repeated once",
                                   codec.name, width, height, stored.width, stored.height,
                                   stored.height == height ? "column"
                                   : stored.width == width ? "row"
                                                           : "column and row"));
    }
    return context;
  }
  throw Error(fmt::format("`codec` {}: cannot encode {}x{} at {} fps: {}", codec.name, width, height, options.fps,
                          fmt::join(refusals, "; ")),
              "try another codec, or png, which takes any size");
}

}  // namespace bitreel
