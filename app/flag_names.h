// The one place where fields get the names of flags. Libraries mark the fields that an error or a remark is about with
// backquotes; whoever shows the text to a person lets it through here.
//
//   with_flags("`num_frames` 42: this model makes 8n+1 frames");   // --num-frames 42: this model makes 8n+1 frames
//
// A flag is its field's name with - for _; only what could be such a name is changed, other backquotes stay.
#pragma once

#include <string>
#include <string_view>

namespace bitreel {

std::string with_flags(std::string_view text);

}  // namespace bitreel
