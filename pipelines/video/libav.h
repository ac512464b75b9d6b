// libav with owners: every allocated thing in a unique_ptr, every return code checked, its log kept from stderr.
//
//   FramePtr frame = make_frame(AV_PIX_FMT_RGB24, 128, 96);
//   check_libav(avcodec_send_frame(codec.get(), frame.get()), "clip.mp4: libx264 refuses a frame");
//
// Errors: Error with what was being done, libav's reason, and the last error line that libav logged.
#pragma once

#include <memory>
#include <string>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavcodec/bsf.h>
#include <libavfilter/avfilter.h>
#include <libavformat/avformat.h>
#include <libswscale/swscale.h>
}

namespace bitreel {

// libav frees through the address of the pointer.
template <auto free_function>
struct FreeByAddress {
  template <class T>
  void operator()(T* pointer) const {
    free_function(&pointer);
  }
};

struct FreeScaler {
  void operator()(SwsContext* scaler) const { sws_freeContext(scaler); }
};

// Closes the file too; what is still buffered is lost, so the way to success closes it first and checks.
struct FreeMuxer {
  void operator()(AVFormatContext* muxer) const {
    avio_closep(&muxer->pb);
    avformat_free_context(muxer);
  }
};

using FramePtr = std::unique_ptr<AVFrame, FreeByAddress<av_frame_free>>;
using PacketPtr = std::unique_ptr<AVPacket, FreeByAddress<av_packet_free>>;
using CodecContextPtr = std::unique_ptr<AVCodecContext, FreeByAddress<avcodec_free_context>>;
using PacketFilterPtr = std::unique_ptr<AVBSFContext, FreeByAddress<av_bsf_free>>;
using FilterGraphPtr = std::unique_ptr<AVFilterGraph, FreeByAddress<avfilter_graph_free>>;
using DemuxerPtr = std::unique_ptr<AVFormatContext, FreeByAddress<avformat_close_input>>;
using MuxerPtr = std::unique_ptr<AVFormatContext, FreeMuxer>;
using ScalerPtr = std::unique_ptr<SwsContext, FreeScaler>;

// From the first call on, libav's log goes nowhere but into the messages of check_libav.
void keep_libav_log();

// The last error line that libav logged, once; empty when there was none. Some decoders say that a picture is damaged
// in no other way.
std::string take_libav_error();

// "No space left on device (libx264: ...)": the code's meaning and the last error line logged since the last call.
std::string libav_reason(int code);

// Throws Error("<what>: <reason>") when the code is negative; returns it otherwise.
int check_libav(int code, const std::string& what);

// Throws Error when libav had no memory for it.
template <class T>
T* check_allocated(T* pointer) {
  if (pointer == nullptr) check_libav(AVERROR(ENOMEM), "video");
  return pointer;
}

FramePtr make_frame();                                             // no picture yet
FramePtr make_frame(AVPixelFormat format, int width, int height);  // with one, writable, contents undefined
PacketPtr make_packet();

}  // namespace bitreel
