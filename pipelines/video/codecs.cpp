#include "pipelines/video/codecs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <mutex>
#include <string>

#include "base/error.h"
#include "base/nearest.h"
#include "pipelines/video/libav.h"

extern "C" {
#include <libavutil/pixdesc.h>
}

namespace bitreel {
namespace {

// The extension in lower case without its dot; a folder (out/) and a pattern (a_%04d.png) are both "png".
std::string extension_of(const std::filesystem::path& path) {
  if (!path.has_filename()) return "png";
  std::string extension = path.extension().string();
  if (!extension.empty()) extension.erase(0, 1);
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return extension;
}

bool holds(const Codec& codec, std::string_view extension) {
  return std::find(codec.extensions.begin(), codec.extensions.end(), extension) != codec.extensions.end();
}

// "did you mean h264? " or nothing, then everything there is.
std::string nearest_and_all(std::string_view got, const std::vector<std::string_view>& known) {
  const std::string meant = nearest(got, {known.begin(), known.end()});
  return fmt::format("{}known: {}", meant.empty() ? "" : fmt::format("did you mean {}? ", meant),
                     fmt::join(known, ", "));
}

std::vector<std::string_view> all_names() {
  std::vector<std::string_view> names;
  for (const Codec& codec : codecs()) names.push_back(codec.name);
  return names;
}

std::vector<std::string_view> all_extensions() {
  std::vector<std::string_view> extensions;
  for (const Codec& codec : codecs()) {
    for (const std::string_view extension : codec.extensions) {
      if (std::find(extensions.begin(), extensions.end(), extension) == extensions.end()) {
        extensions.push_back(extension);
      }
    }
  }
  return extensions;
}

std::vector<std::string_view> names_that_fit(std::string_view extension) {
  std::vector<std::string_view> names;
  for (const Codec& codec : codecs()) {
    if (holds(codec, extension)) names.push_back(codec.name);
  }
  return names;
}

// What opening it complains of, once for the process; empty when it opens.
const std::string& gpu_obstacle(const Encoder& encoder, const Codec& codec) {
  static std::mutex one_asks;
  static std::map<std::string_view, std::string> known;
  const std::lock_guard lock(one_asks);
  if (const auto found = known.find(encoder.name); found != known.end()) return found->second;
  keep_libav_log();
  const AVCodec* const built = avcodec_find_encoder_by_name(std::string(encoder.name).c_str());
  const CodecContextPtr context(check_allocated(avcodec_alloc_context3(built)));
  context->width = context->height = 2 * encoder.smallest;
  context->pix_fmt = av_get_pix_fmt(std::string(codec.pixel_format).c_str());
  context->time_base = {1, 8};
  const int opened = avcodec_open2(context.get(), built, nullptr);
  return known[encoder.name] = opened < 0 ? libav_reason(opened) : std::string();
}

// Why this machine does not have it; empty when it does.
std::string obstacle_to(const Encoder& encoder, const Codec& codec) {
  if (avcodec_find_encoder_by_name(std::string(encoder.name).c_str()) == nullptr)
    return fmt::format("this machine's libav lacks {}", encoder.name);
  if (encoder.device == EncoderDevice::cpu) return {};
  const std::string& obstacle = gpu_obstacle(encoder, codec);
  return obstacle.empty() ? std::string() : fmt::format("no GPU here has {}: {}", encoder.name, obstacle);
}

}  // namespace

const std::vector<Codec>& codecs() {
  // crf standards: where the drawn test clips lie between 42 and 46 dB, which no eye tells from the frames.
  // Smallest sizes: a macroblock, below which ffv1's slices and others lose pixels; libx265 3.5 writes beyond its
  // lookahead buffers at 40x24.
  // mbtree=0: with AVX-512, x264 164's macroblock tree depends on uninitialised memory, and with it the bytes written.
  // ctu=32: with blocks of 64, x265 3.5 reads uninitialised memory where one block is the whole picture.
  // bf=0: x265 3.5 leaves decoding times undefined in clips shorter than its reordering delay.
  // Speeds (cpu-used, preset): the slowest that still encode faster than a CPU denoises by two orders.
  // x264 writes its version and all its settings into the stream, which --no-metadata must not and provenance need not:
  // its SEI (type 6) holds nothing else. x265 can be told (info=0).
  // av1 by libaom alone: SVT-AV1 1.4.1 waits for ever when it is closed without a frame, as a check or an interrupt
  // does.
  static const std::vector<Codec> table = {
      {"h264",
       {"mp4", "mov", "mkv"},
       {{"libx264", Sizes::even, 16, "preset=medium:mbtree=0", "filter_units=remove_types=6"}},
       "yuv420p",
       CrfRange{20, 51},
       Fidelity::lossy,
       "plays everywhere"},
      {"h265",
       {"mp4", "mov", "mkv"},
       {{"libx265", Sizes::even, 64, "preset=medium:bf=0:x265-params=log-level=none\\:ctu=32\\:info=0"}},
       "yuv420p",
       CrfRange{18, 51},
       Fidelity::lossy,
       "smaller; tagged hvc1 for Apple's players"},
      // constqp: as libx264's crf, a quality that no bit rate bounds. NVENC takes no smaller pictures.
      {"h264_nvenc",
       {"mp4", "mov", "mkv"},
       {{"h264_nvenc", Sizes::even, 146, "preset=p5:rc=constqp", "filter_units=remove_types=6", "qp",
         EncoderDevice::gpu}},
       "yuv420p",
       CrfRange{20, 51},
       Fidelity::lossy,
       "h264 by an NVIDIA GPU that has an encoder: A100, H100 and H200 have none"},
      {"vp9",
       {"webm", "mp4", "mkv"},
       {{"libvpx-vp9", Sizes::any, 16, "deadline=good:cpu-used=2:row-mt=1:b=0"}},
       "yuv420p",
       CrfRange{20, 63},
       Fidelity::lossy,
       "for the web"},
      {"av1",
       {"mp4", "webm", "mkv"},
       {{"libaom-av1", Sizes::any, 16, "cpu-used=4:row-mt=1:b=0"}},
       "yuv420p",
       CrfRange{20, 63},
       Fidelity::lossy,
       "smallest, slowest"},
      // FFV1 codes 8-bit RGB as bgr0 (libav's gbrp variants of it start at 9 bits).
      {"ffv1",
       {"mkv"},
       {{"ffv1", Sizes::any, 16, "level=3:slicecrc=1:g=1"}},
       "bgr0",
       std::nullopt,
       Fidelity::lossless,
       "the frames' bytes, with checksums"},
      {"prores",
       {"mov"},
       {{"prores_ks", Sizes::even, 16, "profile=hq:vendor=apl0"}},
       "yuv422p10le",
       std::nullopt,
       Fidelity::lossy,
       "for editing: 422 HQ, 10 bits"},
      {"gif",
       {"gif"},
       {{"gif", Sizes::any, 16, ""}},
       "pal8",
       std::nullopt,
       Fidelity::lossy,
       "one palette of 255 colours for the clip, dithered; loops"},
      {"png",
       {"png"},
       {},
       "rgb24",
       std::nullopt,
       Fidelity::lossless,
       "a picture per frame: name_%04d.png, or a folder that ends in '/'"},
  };
  return table;
}

const Codec& choose_codec(const std::filesystem::path& path, std::string_view name) {
  const std::string extension = extension_of(path);
  const std::vector<std::string_view> fitting = names_that_fit(extension);
  if (name.empty()) {
    if (fitting.empty()) {
      throw UsageError(extension.empty()
                           ? fmt::format("`output` {}: has no extension to choose a codec by", path.string())
                           : fmt::format("`output` {}: unknown extension .{}", path.string(), extension),
                       nearest_and_all(extension, all_extensions()));
    }
    for (const Codec& codec : codecs()) {
      if (codec.extensions.front() == extension) return codec;
    }
  }
  for (const Codec& codec : codecs()) {
    if (codec.name != name) continue;
    if (holds(codec, extension)) return codec;
    throw UsageError(
        fmt::format("`codec` {}: does not go into `output` {}", name, path.string()),
        fmt::format("{} goes into .{}{}", name, fmt::join(codec.extensions, ", ."),
                    fitting.empty() ? "" : fmt::format("; .{} holds {}", extension, fmt::join(fitting, ", "))));
  }
  throw UsageError(fmt::format("`codec` {}: unknown codec", name), nearest_and_all(name, all_names()));
}

std::vector<Encoder> available_encoders(const Codec& codec) {
  std::vector<Encoder> available;
  for (const Encoder& encoder : codec.encoders) {
    if (obstacle_to(encoder, codec).empty()) available.push_back(encoder);
  }
  return available;
}

bool needs_gpu(const Codec& codec) {
  return !codec.encoders.empty() && std::ranges::all_of(codec.encoders, [](const Encoder& encoder) {
    return encoder.device == EncoderDevice::gpu;
  });
}

void check_encoder(const Codec& codec) {
  if (codec.encoders.empty() || !available_encoders(codec).empty()) return;
  std::vector<std::string> missing;
  for (const Encoder& encoder : codec.encoders) missing.push_back(obstacle_to(encoder, codec));
  std::vector<std::string_view> there;
  for (const Codec& other : codecs()) {
    if (other.encoders.empty() || !available_encoders(other).empty()) there.push_back(other.name);
  }
  throw Error(fmt::format("`codec` {}: {}", codec.name, fmt::join(missing, " and ")),
              fmt::format("it has what is needed for {}", fmt::join(there, ", ")));
}

std::string describe_codecs() {
  std::string text;
  for (const Codec& codec : codecs()) {
    const std::string crf = codec.crf ? fmt::format("crf {}, 0 to {}", codec.crf->standard, codec.crf->worst)
                                      : std::string(codec.fidelity == Fidelity::lossless ? "lossless" : "no crf");
    text +=
        fmt::format("{:<10} .{:<15} {:<17} {}\n", codec.name, fmt::join(codec.extensions, " ."), crf, codec.summary);
  }
  return text;
}

}  // namespace bitreel
