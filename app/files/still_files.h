// Pictures and texts on their way into their files: what VideoWriter is to a video.
//
//   StillFiles stills(output_files("out/cat.png", joint, 1), provenance);
//   stills.push_picture(frame);
//   stills.push_text("a red circle on navy");
//   stills.finish({{"seconds", 1.5}});
//
// Nothing is written before finish(), and then the sidecar first: where there is a picture or a text, everything about
// it is there too. A text is one line, with its end of line. provenance: null for none. Errors: Error when a file can't
// be written.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/files/output_files.h"
#include "pipelines/image/picture.h"
#include "pipelines/video/frame.h"

namespace bitreel {

class StillFiles {
 public:
  StillFiles(OutputFiles files, nlohmann::ordered_json provenance)
      : files_(std::move(files)), provenance_(std::move(provenance)) {}

  // In the order of the files.
  void push_picture(const Frame& picture);
  void push_text(const std::string& text);
  // outcome: what is known only now; its members join the provenance in the sidecar.
  void finish(const nlohmann::ordered_json& outcome);

  [[nodiscard]] const OutputFiles& files() const { return files_; }
  [[nodiscard]] const std::vector<std::string>& texts() const { return texts_; }

 private:
  OutputFiles files_;
  nlohmann::ordered_json provenance_;
  std::vector<Picture> pictures_;
  std::vector<std::string> texts_;
};

}  // namespace bitreel
