// Text as a terminal may show it. File names, prompts, tensor names and metadata come from files that somebody else
// made: an escape sequence in them would recolour, retitle or rewrite the terminal that shows them.
//
//   print_error(printable_lines(message));   // \n stays, so that our own lines do
//   printable("evil\033[2Jname\n");          // evil\x1b[2Jname\n, in one line
//
// Escaped: control characters (C0, DEL, C1), marks that turn the direction of writing, line and paragraph separators,
// and bytes that are not UTF-8. Everything else is shown as it is. JSON events need none of this: they stay exact.
#pragma once

#include <string>
#include <string_view>

namespace bitreel {

std::string printable(std::string_view text);
std::string printable_lines(std::string_view text);

}  // namespace bitreel
