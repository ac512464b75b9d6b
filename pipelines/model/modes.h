// The modes of a model: what each takes and makes, and which one a request means.
//
//   const std::vector<Mode> modes = {{.name = "t2i", .takes = Medium::text, .makes = {Medium::image}},
//                                    {.name = "i2t", .takes = Medium::image, .makes = {Medium::text}},
//                                    {.name = "joint", .makes = {Medium::image, Medium::text}}};
//   choose_mode(modes, "", {Medium::image}).name;        // i2t: without a name, the first whose input is given
//
// Errors: UsageError for a name that is none of theirs, and for an input that is missing or superfluous.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

namespace bitreel {

enum class Medium { text, image, video };

// One thing that a model can do: "text-to-video" takes text and makes video.
struct Mode {
  std::string name;
  std::optional<Medium> takes = {};  // nothing: it makes something up
  std::set<Medium> makes = {};
};

// name: empty to infer one. given: the inputs that there are, text for a prompt and image for a picture.
const Mode& choose_mode(const std::vector<Mode>& modes, const std::string& name, const std::set<Medium>& given);
// Whatever is given; an empty name is the first.
const Mode& mode_named(const std::vector<Mode>& modes, const std::string& name);

}  // namespace bitreel
