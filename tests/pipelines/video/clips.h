// Drawn clips and the distance between frames: what the video tests share.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "pipelines/video/frame.h"
#include "pipelines/video/writer.h"
#include "tests/temporary_folder.h"

namespace bitreel::test {

struct Image {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> rgb;

  [[nodiscard]] Frame frame() const { return {.rgb = rgb.data(), .width = width, .height = height}; }
};

// Saturated colour bars that drift, over a gradient that a disc crosses. Edges are soft, as those of sampled pictures
// are, so that 4:2:0 itself costs little and what a codec or a wrong matrix costs shows.
Image draw(int width, int height, int time);
Image noise(int width, int height, int time);
std::vector<Image> draw_clip(int width, int height, int frames);

// dB between what was drawn and what was read, over the drawn size; infinite when equal.
double psnr(const Image& drawn, const Image& read);

// What is_provenance() takes for one of ours.
nlohmann::json provenance_of(const std::string& prompt);

std::vector<Image> read_all(const std::filesystem::path& video);
void write_clip(const std::filesystem::path& video, const VideoOptions& options, const std::vector<Image>& clip,
                const nlohmann::json& provenance = nullptr);

}  // namespace bitreel::test
