#include "app/compare/compare_videos.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>

#include "app/compare/clip_measures.h"
#include "app/compare/report.h"
#include "app/interrupt.h"
#include "app/reports/side_by_side.h"
#include "base/error.h"
#include "base/partial.h"
#include "pipelines/video/reader.h"
#include "pipelines/video/writer.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

// a/clip.mp4 and b/clip.mp4 -> clip and clip-2.
std::vector<std::string> names_of(const std::vector<fs::path>& videos) {
  std::vector<std::string> names;
  names.reserve(videos.size());
  for (const fs::path& video : videos) {
    const std::string stem = video.stem().string();
    std::string name = stem;
    for (int i = 2; std::ranges::find(names, name) != names.end(); ++i) name = fmt::format("{}-{}", stem, i);
    names.push_back(name);
  }
  return names;
}

bool plays_in_browsers(const VideoInfo& info) {
  const bool mp4 = info.container.find("mp4") != std::string::npos;
  const bool webm = info.container.find("webm") != std::string::npos;
  return (mp4 && (info.codec == "h264" || info.codec == "av1" || info.codec == "vp9") &&
          info.pixel_format == "yuv420p") ||
         (webm && (info.codec == "vp8" || info.codec == "vp9" || info.codec == "av1"));
}

// Returns the copy's path.
fs::path copy_to_play(const fs::path& video, const fs::path& folder, const std::string& name) {
  VideoReader reader(video);
  fs::create_directories(folder);
  if (plays_in_browsers(reader.info())) {
    fs::path copy = folder / (name + video.extension().string());
    const Partial partial(copy);
    fs::copy_file(video, partial.path(), fs::copy_options::overwrite_existing);
    partial.publish();
    return copy;
  }
  fs::path copy = folder / (name + ".mp4");
  VideoWriter writer(copy, {.fps = reader.info().fps > 0 ? reader.info().fps : 8}, reader.info().width,
                     reader.info().height);
  while (const std::optional<Frame> frame = reader.next()) writer.push(*frame);
  writer.finish();
  return copy;
}

// A file without a rate is a picture; a folder of them is a sequence.
void check_moves(const fs::path& video) {
  if (!fs::is_regular_file(video) || VideoReader(video).info().fps > 0) return;
  throw UsageError(fmt::format("compare takes videos, and {} is a picture", video.string()),
                   "bitreel judge reads pictures and scores them; a folder of PNGs, DIR/, is a video");
}

}  // namespace

void compare_videos(const std::vector<fs::path>& videos, const fs::path& folder, Console& console) {
  if (videos.size() < 2)
    throw UsageError("compare needs two videos or more", "bitreel compare a.mp4 b.mp4 --output DIR");
  for (const fs::path& video : videos) check_moves(video);
  const std::vector<std::string> names = names_of(videos);
  std::vector<ClipMeasures> measures;
  measures.reserve(videos.size());
  console.begin("measure", std::ssize(videos), 0, "video");
  for (const fs::path& video : videos) {
    check_interrupt("nothing was written");
    measures.push_back(measure_clip(video, measures.empty() ? fs::path() : videos.front()));
    console.step(std::ssize(measures));
  }
  console.begin("write", std::ssize(videos), 0, "video");
  Comparison comparison{
      .prompts = {videos.front().filename().string()}, .prompts_file = {}, .seeds = {}, .variants = {}};
  ClipFacts facts;
  std::vector<DescribedVariant> variants;
  std::vector<SideBySideClip> clips;
  for (std::size_t i = 0; i < videos.size(); ++i) {
    const fs::path copy = copy_to_play(videos[i], folder / "videos", names[i]);
    nlohmann::ordered_json& clip = facts[names[i]][0] = json_of(measures[i]);
    clip["video"] = fs::relative(copy, folder).string();
    clip["file"] = videos[i].string();
    if (!measures[i].difference.empty()) {
      const fs::path picture = folder / "videos" / fmt::format("{}-difference.jpg", names[i]);
      write_frame(picture, measures[i].difference);
      clip["difference"] = fs::relative(picture, folder).string();
    }
    variants.push_back({.name = names[i]});
    clips.push_back({.name = names[i], .frames = videos[i], .facts = clip});
    console.step(static_cast<std::int64_t>(i) + 1);
  }
  write_side_by_side(clips, comparison.prompts.front(), folder, 0);
  const nlohmann::ordered_json report = write_report(comparison, folder, variants, facts);
  console.end();
  console.say(table_of(report), "done", {{"report", (folder / "index.html").string()}});
}

}  // namespace bitreel
