#include "pipelines/video/palette.h"

#include <fmt/format.h>

extern "C" {
#include <libavfilter/buffersink.h>
#include <libavfilter/buffersrc.h>
}

namespace bitreel {

Palette::Palette(int width, int height, AVRational time_base) : graph_(check_allocated(avfilter_graph_alloc())) {
  const std::string description = fmt::format(
      "buffer@in=width={}:height={}:pix_fmt={}:time_base={}/{}:pixel_aspect=1/1,split[kept][seen];"
      "[seen]palettegen=stats_mode=full[palette];[kept][palette]paletteuse=dither=sierra2_4a,buffersink@out",
      width, height, static_cast<int>(AV_PIX_FMT_RGB24), time_base.num, time_base.den);
  AVFilterInOut* inputs = nullptr;
  AVFilterInOut* outputs = nullptr;
  const int parsed = avfilter_graph_parse2(graph_.get(), description.c_str(), &inputs, &outputs);
  avfilter_inout_free(&inputs);
  avfilter_inout_free(&outputs);
  check_libav(parsed, "gif palette");
  check_libav(avfilter_graph_config(graph_.get(), nullptr), "gif palette");
  source_ = avfilter_graph_get_filter(graph_.get(), "buffer@in");
  sink_ = avfilter_graph_get_filter(graph_.get(), "buffersink@out");
}

void Palette::push(FramePtr rgb) {
  check_libav(av_buffersrc_add_frame(source_, rgb.get()), "gif palette");
}

void Palette::end() {
  check_libav(av_buffersrc_add_frame(source_, nullptr), "gif palette");
}

FramePtr Palette::pull() {
  FramePtr picture = make_frame();
  const int got = av_buffersink_get_frame(sink_, picture.get());
  if (got == AVERROR(EAGAIN) || got == AVERROR_EOF) return nullptr;
  check_libav(got, "gif palette");
  return picture;
}

}  // namespace bitreel
