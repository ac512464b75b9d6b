#include "pipelines/video/reader.h"

#include <fmt/format.h>

#include <cmath>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/input_file.h"
#include "pipelines/video/colour.h"
#include "pipelines/video/libav.h"
#include "pipelines/video/output.h"
#include "pipelines/video/sequence.h"

extern "C" {
#include <libavutil/dict.h>
#include <libavutil/pixdesc.h>
}

namespace bitreel {
namespace {

namespace fs = std::filesystem;

std::string name_or_unknown(const char* name) {
  return name == nullptr ? "unknown" : name;
}

bool is_pattern(const fs::path& path) {
  return is_sequence(path) && (!path.has_filename() || path.filename().string().find('%') != std::string::npos);
}

// Folders and patterns become image2's pattern; a colon in a file's name is kept from being taken for a protocol.
std::string input_url(const fs::path& path) {
  return "file:" + (is_pattern(path) ? parse_sequence(path).pattern() : path.string());
}

// Before libav opens them. It looks for a sequence's first picture among five numbers, and then takes one by one.
void check_files(const fs::path& path) {
  if (!is_pattern(path)) return check_regular(path, "a video file");
  const SequenceName name = parse_sequence(path);
  constexpr int first_numbers = 5;
  for (int number = 0; number < first_numbers || fs::exists(name.file(number)); ++number) {
    if (fs::exists(name.file(number))) check_regular(name.file(number), "a picture");
  }
}

DemuxerPtr open_demuxer(const fs::path& path) {
  AVFormatContext* opened = nullptr;
  const std::string url = input_url(path);
  check_files(path);
  // Playlists may name other files, or hosts: only this file is read.
  AVDictionary* settings = nullptr;
  av_dict_set(&settings, "protocol_whitelist", "file", 0);
  const int code = avformat_open_input(&opened, url.c_str(), nullptr, &settings);
  av_dict_free(&settings);
  check_libav(code, fmt::format("{}: cannot read", path.string()));
  DemuxerPtr demuxer(opened);
  check_libav(avformat_find_stream_info(opened, nullptr), fmt::format("{}: cannot read", path.string()));
  return demuxer;
}

CodecContextPtr open_decoder(const AVStream& stream, const AVCodec* codec, const std::string& what) {
  CodecContextPtr decoder(check_allocated(avcodec_alloc_context3(codec)));
  check_libav(avcodec_parameters_to_context(decoder.get(), stream.codecpar), what);
  decoder->pkt_timebase = stream.time_base;
  decoder->thread_count = 0;
  // A damaged picture is an error here, not something to guess at.
  decoder->err_recognition = AV_EF_CRCCHECK | AV_EF_BITSTREAM | AV_EF_BUFFER | AV_EF_EXPLODE;
  check_libav(avcodec_open2(decoder.get(), codec, nullptr), what);
  return decoder;
}

std::string comment_of(const AVFormatContext& demuxer, const fs::path& path) {
  const AVDictionaryEntry* entry = av_dict_get(demuxer.metadata, "comment", nullptr, 0);
  if (entry != nullptr) return entry->value;
  const std::string container = demuxer.iformat->name;
  std::string sidecar;
  const bool is_there = (container == "gif" || is_pattern(path)) && read_into(sidecar, sidecar_path(path), {}).empty();
  return is_there ? sidecar : std::string();
}

double seconds(std::int64_t ticks, AVRational base) {
  return ticks == AV_NOPTS_VALUE ? 0 : static_cast<double>(ticks) * av_q2d(base);
}

}  // namespace

struct VideoReader::State {
  explicit State(const fs::path& file) : path(file) {}

  fs::path path;
  DemuxerPtr demuxer;
  CodecContextPtr decoder;
  AVStream* stream = nullptr;  // owned by the demuxer
  PacketPtr packet = make_packet();
  FramePtr picture = make_frame();
  RgbMaker rgb;
  VideoInfo info;
  std::int64_t frames = 0;
  std::int64_t promised = 0;  // frames, by the header; 0 when it doesn't say

  [[nodiscard]] std::string what() const { return fmt::format("{}: cannot decode frame {}", path.string(), frames); }
  void describe();
  void feed();
  void check_complete() const;
};

void VideoReader::State::describe() {
  const AVCodecParameters& parameters = *stream->codecpar;
  info.container = demuxer->iformat->name;
  info.codec = avcodec_get_name(parameters.codec_id);
  info.pixel_format = name_or_unknown(av_get_pix_fmt_name(static_cast<AVPixelFormat>(parameters.format)));
  info.width = parameters.width;
  info.height = parameters.height;
  info.colour_primaries = name_or_unknown(av_color_primaries_name(parameters.color_primaries));
  info.colour_transfer = name_or_unknown(av_color_transfer_name(parameters.color_trc));
  info.colour_space = name_or_unknown(av_color_space_name(parameters.color_space));
  info.colour_range = name_or_unknown(av_color_range_name(parameters.color_range));
  info.comment = comment_of(*demuxer, path);
  if (is_sequence(path)) return;  // image2 makes up 25 fps
  info.fps = stream->avg_frame_rate.den == 0 ? 0 : av_q2d(stream->avg_frame_rate);
  info.duration = seconds(stream->duration, stream->time_base);
  if (info.duration == 0) info.duration = seconds(demuxer->duration, {1, AV_TIME_BASE});
  // Half a frame of slack: containers round times to their ticks.
  promised = stream->nb_frames > 0 ? stream->nb_frames : static_cast<std::int64_t>(info.duration * info.fps - 0.5);
}

// Gives the decoder one more packet of this stream, or the end.
void VideoReader::State::feed() {
  while (true) {
    const int got = av_read_frame(demuxer.get(), packet.get());
    if (got == AVERROR_EOF) {
      check_libav(avcodec_send_packet(decoder.get(), nullptr), what());
      return;
    }
    check_libav(got, what());
    if (packet->stream_index == stream->index) {
      if ((packet->flags & AV_PKT_FLAG_CORRUPT) != 0)
        throw Error(fmt::format("{}: the file is cut short or damaged", what()));
      check_libav(avcodec_send_packet(decoder.get(), packet.get()), what());
      av_packet_unref(packet.get());
      return;
    }
    av_packet_unref(packet.get());
  }
}

void VideoReader::State::check_complete() const {
  if (frames < promised) {
    throw Error(fmt::format("{}: ends after frame {} of {}: the file is cut short", path.string(), frames, promised),
                "make or copy it again");
  }
}

VideoReader::VideoReader(const fs::path& path) : state_(std::make_unique<State>(path)) {
  keep_libav_log();
  std::error_code ignored;
  if (path.has_filename() && fs::is_directory(path, ignored)) {
    throw Error(fmt::format("{}: is a folder, expected a video file", path.string()),
                fmt::format("{}/ reads its frames as a PNG sequence", path.string()));
  }
  state_->demuxer = open_demuxer(path);
  const AVCodec* codec = nullptr;
  const int best = av_find_best_stream(state_->demuxer.get(), AVMEDIA_TYPE_VIDEO, -1, -1, &codec, 0);
  check_libav(best, fmt::format("{}: no video in it that this libav can decode", path.string()));
  state_->stream = state_->demuxer->streams[best];
  state_->decoder = open_decoder(*state_->stream, codec, fmt::format("{}: cannot decode", path.string()));
  state_->describe();
}

VideoReader::~VideoReader() = default;

const VideoInfo& VideoReader::info() const {
  return state_->info;
}

std::optional<Frame> VideoReader::next() {
  State& state = *state_;
  while (true) {
    const int got = avcodec_receive_frame(state.decoder.get(), state.picture.get());
    if (got == 0) {
      if (const std::string damage = take_libav_error(); !damage.empty()) {
        throw Error(fmt::format("{}: the file is damaged ({})", state.what(), damage));
      }
      ++state.frames;
      return state.rgb(*state.picture);
    }
    if (got == AVERROR_EOF) {
      state.check_complete();
      return std::nullopt;
    }
    if (got != AVERROR(EAGAIN)) check_libav(got, state.what());
    state.feed();
  }
}

VideoInfo inspect_video(const fs::path& path) {
  VideoReader video(path);
  std::int64_t frames = 0;
  while (video.next()) ++frames;
  VideoInfo info = video.info();
  info.frames = frames;
  return info;
}

}  // namespace bitreel
