// Values of settings that a clip could not live with, refused where they are read: flags, YAML, prompts files.
//
//   options.prompt = prompt_from("a red circle", "--prompt");
//   options.fps = fps_from("24000/1001", "--fps");   // 23.976 means the same
//
// Errors: UsageError naming the place, what it got and what is expected.
#pragma once

#include <string>

namespace bitreel {

// UTF-8, or an error that says where it stops being it.
std::string utf8_from(const std::string& text, const std::string& where);

// UTF-8 of at most 128 KiB; empty, for a clip without a prompt, or more than blanks.
std::string prompt_from(const std::string& text, const std::string& where);

// From 0.1 to 240, as a number or a fraction. The rates of film and television are quotients by 1001 whose decimals
// nobody writes out: 23.976, 23.98, 29.97, 47.952, 59.94, 119.88 mean those. Any other comes back from its decimals.
double fps_from(const std::string& text, const std::string& where);

}  // namespace bitreel
