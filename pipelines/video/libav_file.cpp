#include "pipelines/video/libav_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "base/partial.h"
#include "pipelines/video/colour.h"
#include "pipelines/video/encoder.h"
#include "pipelines/video/libav.h"
#include "pipelines/video/palette.h"

extern "C" {
#include <libavutil/dict.h>
}

namespace bitreel {
namespace {

namespace fs = std::filesystem;

// "file:" so that a colon in the name is not taken for a protocol.
std::string url_of(const fs::path& path) {
  return "file:" + path.string();
}

MuxerPtr make_muxer(const fs::path& path) {
  AVFormatContext* muxer = nullptr;
  check_libav(avformat_alloc_output_context2(&muxer, nullptr, nullptr, url_of(path).c_str()), path.string());
  // No random ids and no version strings: the same clip is the same bytes.
  muxer->flags |= AVFMT_FLAG_BITEXACT;
  return MuxerPtr(muxer);
}

class LibavFile : public FrameSink {
 public:
  LibavFile(const fs::path& path, const Codec& codec, const VideoOptions& options, int width, int height,
            const std::string& comment, std::vector<std::string>& events)
      : name_(path.string()),
        partial_(path),
        muxer_(make_muxer(partial_.path())),
        encoder_(open_encoder(codec, options, width, height,
                              (muxer_->oformat->flags & AVFMT_GLOBALHEADER) != 0 ? GlobalHeader::yes : GlobalHeader::no,
                              events)),
        make_picture_(encoder_->pix_fmt == AV_PIX_FMT_PAL8 ? AV_PIX_FMT_RGB24 : encoder_->pix_fmt, width, height,
                      encoder_->width, encoder_->height),
        packet_(make_packet()) {
    if (encoder_->pix_fmt == AV_PIX_FMT_PAL8) {
      palette_.emplace(encoder_->width, encoder_->height, encoder_->time_base);
      describe_gif(options.fps, comment, events);
    }
    add_stream(codec);
    filter_packets(codec);
    write_header(comment);
  }

  void push(const Frame& frame) override {
    FramePtr picture = make_picture_(frame);
    picture->pts = frames_++;
    if (palette_) {
      palette_->push(std::move(picture));
    } else {
      encode(picture.get());
    }
  }

  void complete() override {
    if (palette_) {
      palette_->end();
      while (const FramePtr picture = palette_->pull()) encode(picture.get());
    }
    encode(nullptr);
    check_libav(av_write_trailer(muxer_.get()), what());
    check_libav(avio_closep(&muxer_->pb), what());  // what was buffered meets the disk only here
  }

  void publish() override { partial_.publish(); }

 private:
  [[nodiscard]] std::string what() const { return fmt::format("{}: cannot write", name_); }

  static void describe_gif(double fps, const std::string& comment, std::vector<std::string>& events) {
    if (!comment.empty()) events.emplace_back("gif holds no comment: the provenance is in the sidecar alone");
    if (std::fmod(100.0, fps) != 0) {
      events.push_back(fmt::format("gif keeps time in 1/100 s: at {} fps, frames last {} or {} of them", fps,
                                   static_cast<int>(100.0 / fps), static_cast<int>(100.0 / fps) + 1));
    }
  }

  void add_stream(const Codec& codec) {
    stream_ = check_allocated(avformat_new_stream(muxer_.get(), nullptr));
    check_libav(avcodec_parameters_from_context(stream_->codecpar, encoder_.get()), what());
    stream_->time_base = encoder_->time_base;
    stream_->avg_frame_rate = encoder_->framerate;
    stream_->r_frame_rate = encoder_->framerate;
    stream_->sample_aspect_ratio = encoder_->sample_aspect_ratio;
    // Apple's players know HEVC in mp4 by this tag and not by hev1, libav's choice.
    const std::string container = muxer_->oformat->name;
    if (codec.name == "h265" && (container == "mp4" || container == "mov")) {
      stream_->codecpar->codec_tag = MKTAG('h', 'v', 'c', '1');
    }
  }

  void filter_packets(const Codec& codec) {
    const std::string_view name = encoder_->codec->name;
    const auto encoder = std::ranges::find(codec.encoders, name, &Encoder::name);
    const std::string packets(encoder == codec.encoders.end() ? "null" : encoder->packets);
    AVBSFContext* filter = nullptr;
    check_libav(av_bsf_list_parse_str(packets.c_str(), &filter), what());
    filter_.reset(filter);
    check_libav(avcodec_parameters_copy(filter->par_in, stream_->codecpar), what());
    filter->time_base_in = encoder_->time_base;
    check_libav(av_bsf_init(filter), what());
  }

  void write_header(const std::string& comment) {
    AVDictionary* settings = nullptr;
    const std::string container = muxer_->oformat->name;
    // The index in front, so that a browser starts before the last byte is there.
    if (container == "mp4") av_dict_set(&settings, "movflags", "+faststart", 0);
    // QuickTime's old tags hold 64 KiB at most and are cut without a word; the newer ones have room for any prompt.
    if (container == "mov") av_dict_set(&settings, "movflags", "+faststart+use_metadata_tags", 0);
    if (!comment.empty()) av_dict_set(&muxer_->metadata, "comment", comment.c_str(), 0);
    const std::string url = url_of(partial_.path());
    int code = avio_open(&muxer_->pb, url.c_str(), AVIO_FLAG_WRITE);
    if (code >= 0) code = avformat_write_header(muxer_.get(), &settings);
    av_dict_free(&settings);
    check_libav(code, what());
  }

  // Null drains the encoder.
  void encode(const AVFrame* picture) {
    check_libav(avcodec_send_frame(encoder_.get(), picture), what());
    while (true) {
      const int got = avcodec_receive_packet(encoder_.get(), packet_.get());
      if (got == AVERROR(EAGAIN)) break;
      if (got != AVERROR_EOF) check_libav(got, what());
      write(got == AVERROR_EOF ? nullptr : packet_.get());
      if (got == AVERROR_EOF) break;
    }
    // A disk that fills up is known to the buffer first.
    check_libav(muxer_->pb->error, what());
  }

  // Null drains the filter.
  void write(AVPacket* packet) {
    check_libav(av_bsf_send_packet(filter_.get(), packet), what());
    while (true) {
      const int got = av_bsf_receive_packet(filter_.get(), packet_.get());
      if (got == AVERROR(EAGAIN) || got == AVERROR_EOF) return;
      check_libav(got, what());
      // Not every encoder says how long a picture lasts, and a one-frame clip has no next one to tell by.
      if (packet_->duration == 0) packet_->duration = 1;
      av_packet_rescale_ts(packet_.get(), encoder_->time_base, stream_->time_base);
      packet_->stream_index = stream_->index;
      check_libav(av_interleaved_write_frame(muxer_.get(), packet_.get()), what());
    }
  }

  std::string name_;
  Partial partial_;
  MuxerPtr muxer_;
  CodecContextPtr encoder_;
  PictureMaker make_picture_;
  PacketPtr packet_;
  PacketFilterPtr filter_;
  std::optional<Palette> palette_;
  AVStream* stream_ = nullptr;  // owned by the muxer
  std::int64_t frames_ = 0;
};

}  // namespace

std::unique_ptr<FrameSink> write_libav_file(const fs::path& path, const Codec& codec, const VideoOptions& options,
                                            int width, int height, const std::string& comment,
                                            std::vector<std::string>& events) {
  return std::make_unique<LibavFile>(path, codec, options, width, height, comment, events);
}

}  // namespace bitreel
