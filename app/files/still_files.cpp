#include "app/files/still_files.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/readable_json.h"
#include "base/written_file.h"

namespace bitreel {

void StillFiles::push_picture(const Frame& picture) {
  const std::size_t bytes =
      std::size_t{3} * static_cast<std::size_t>(picture.width) * static_cast<std::size_t>(picture.height);
  pictures_.push_back({.width = picture.width, .height = picture.height, .rgb = {picture.rgb, picture.rgb + bytes}});
}

void StillFiles::push_text(const std::string& text) {
  texts_.push_back(text);
}

void StillFiles::finish(const nlohmann::ordered_json& outcome) {
  if (pictures_.size() != files_.pictures.size() || texts_.size() != files_.texts.size()) {
    throw Error(fmt::format("{} pictures and {} texts came for {} and {} files", pictures_.size(), texts_.size(),
                            files_.pictures.size(), files_.texts.size()));
  }
  if (!provenance_.is_null()) {
    provenance_.update(outcome);
    if (!texts_.empty()) provenance_["texts"] = texts_;
    write_whole(sidecar_of(files_), readable_json(provenance_));
  }
  for (std::size_t i = 0; i < texts_.size(); ++i) write_whole(files_.texts[i], texts_[i] + "\n");
  for (std::size_t i = 0; i < pictures_.size(); ++i) write_picture(files_.pictures[i], pictures_[i]);
}

}  // namespace bitreel
