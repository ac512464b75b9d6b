// What reaches a terminal from somebody else's files.
#include "base/printable.h"

#include <gmock/gmock.h>

#include "base/utf8.h"

namespace bitreel {
namespace {

TEST(Printable, EscapesWhatATerminalWouldObey) {
  EXPECT_EQ(printable("\033[2J\033]0;title\a"), "\\x1b[2J\\x1b]0;title\\x07");
  EXPECT_EQ(printable("a\rb\x7f"), "a\\x0db\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"
                      "2J"),
            "\\u009b2J")
      << "the C1 form of an escape sequence";
  EXPECT_EQ(printable("cod.\xe2\x80\xae"
                      "4pm"),
            "cod.\\u202e4pm")
      << "right to left";
  EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a\\x00b");
}

TEST(Printable, LeavesTextAsItIs) {
  const std::string text = "Bär \"红\" 🎈 50 % \\x1b";
  EXPECT_EQ(printable(text), text);
  EXPECT_EQ(printable_lines(printable("\033") + "\n"), "\\x1b\n") << "twice is no more than once";
}

TEST(Printable, KeepsLinesWhereTheyAreOurs) {
  EXPECT_EQ(printable("a\n\tb"), "a\\n\\tb");
  EXPECT_EQ(printable_lines("a\n\tb\r"), "a\n\tb\\x0d");
}

TEST(Printable, ShowsBytesThatAreNoText) {
  EXPECT_EQ(printable("caf\xe9 \xff\xc3"), "caf\\xe9 \\xff\\xc3");
}

TEST(Utf8, KnowsWhatItIsNot) {
  EXPECT_EQ(invalid_utf8_at("Bär 红 🎈"), std::string_view::npos);
  // Overlong, a surrogate, past U+10FFFF, cut, and a stray continuation.
  for (const char* bad : {"ab\xc0\xaf", "ab\xe0\x80\xaf", "ab\xed\xa0\x80", "ab\xf4\x90\x80\x80", "ab\xe7\xba",
                          "ab\x80", "ab\xf0\x80\x80\xaf"}) {
    EXPECT_EQ(invalid_utf8_at(bad), 2U) << printable(bad);
  }
  EXPECT_EQ(utf8_character_at("红", 0).value, U'红');
  EXPECT_EQ(utf8_character_at("a", 1).length, 0U);
}

}  // namespace
}  // namespace bitreel
