#include "app/compare/clip_judge.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/assets.h"
#include "base/input_file.h"
#include "base/json_text.h"
#include "pipelines/quality/frame_copy.h"
#include "pipelines/quality/judge.h"
#include "pipelines/video/reader.h"

namespace bitreel {
namespace {

bool says_what_clips_show(const std::filesystem::path& file) {
  const auto json = parse_json_if_any(read_file<UsageError>(file, {.expected = "a file of prompts"}));
  return json.is_array() && std::ranges::all_of(json, [](const nlohmann::json& entry) {
           return entry.is_object() && entry.contains("objects");
         });
}

}  // namespace

ClipJudge::ClipJudge(const std::filesystem::path& prompts_file) {
  if (prompts_file.empty() || !says_what_clips_show(prompts_file)) return;
  domain_ = quality::Domain::read(asset("assets/pocket/domain.json"));
  asked_ = quality::read_expectations(prompts_file, *domain_);
}

std::optional<bool> ClipJudge::all_right(const std::filesystem::path& clip, std::size_t prompt) const {
  if (!domain_ || prompt >= asked_.size()) return std::nullopt;
  VideoReader video(clip);
  if (video.info().width != domain_->width || video.info().height != domain_->height) return std::nullopt;
  std::vector<cv::Mat> frames;
  while (const std::optional<Frame> frame = video.next()) {
    if (static_cast<int>(frames.size()) == domain_->frames) return std::nullopt;  // longer than the judge reads
    frames.push_back(copy_of(*frame));
  }
  if (static_cast<int>(frames.size()) != domain_->frames) return std::nullopt;
  const auto objects = static_cast<int>(asked_[prompt].objects.size());
  const quality::Judgement seen = quality::judge(frames, *domain_, {.objects = objects});
  return quality::compare(asked_[prompt], seen).of(quality::Attribute::everything).right == 1;
}

}  // namespace bitreel
