// The table of codecs Bitreel writes: one row feeds the choice by extension and by name, the help and every message.
//
//   const Codec& home = choose_codec("clip.webm", "");       // vp9, the first codec at home in .webm
//   const Codec& asked = choose_codec("clip.mkv", "h264");   // asked by name
//
// Errors: UsageError when the name or the extension is unknown (the nearest is named) or the two don't fit.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bitreel {

// Which widths and heights an encoder stores. even: whole chroma samples only, so odd sizes are padded by one.
enum class Sizes { any, even };

enum class Fidelity { lossy, lossless };

// What an encoder runs on: a GPU's needs the machine to have one, which is found out by opening it once.
enum class EncoderDevice { cpu, gpu };

struct Encoder {
  std::string_view name;  // libav's
  Sizes sizes;
  int smallest;                       // width and height that it encodes reliably
  std::string_view options;           // libav's "key=value:key=value", crf apart
  std::string_view packets = "null";  // libav's bitstream filter for what it makes
  std::string_view quality = "crf";   // libav's setting that crf goes to
  EncoderDevice device = EncoderDevice::cpu;
};

struct CrfRange {
  int standard;  // when crf is not given
  int worst;     // 0 to worst, lower is better
};

struct Codec {
  std::string_view name;                     // as people choose it
  std::vector<std::string_view> extensions;  // containers that hold it, its home first
  std::vector<Encoder> encoders;             // in order of preference; png has none, it is written picture by picture
  std::string_view pixel_format;             // libav's
  std::optional<CrfRange> crf;
  Fidelity fidelity;
  std::string_view summary;
};

const std::vector<Codec>& codecs();

// name may be empty: the first codec whose home is the path's extension. A path that ends in '/' is a PNG sequence.
const Codec& choose_codec(const std::filesystem::path& path, std::string_view name);

// Encoders of a codec that this machine's libav was built with, and that its GPU has.
std::vector<Encoder> available_encoders(const Codec& codec);

// Whether none of its encoders works without a GPU.
bool needs_gpu(const Codec& codec);

// Throws Error naming the encoders when there is none of them, and why a GPU's is not.
void check_encoder(const Codec& codec);

// For people: a line per codec.
std::string describe_codecs();

}  // namespace bitreel
