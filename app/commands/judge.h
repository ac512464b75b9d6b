// bitreel judge: what clips, pictures and captions of the default models show, and how well that fits the prompts or
// pictures they were made from.
//
//   bitreel judge out/demo.mp4
//   bitreel judge out/*.mp4 --prompts assets/prompts/unseen-100.json --output scores.json --sheet sheet.png
//   bitreel judge out/*.png --prompts assets/prompts/unseen-stills.json --at-least one.colour=98,one.shape=95
//   bitreel judge out/*.txt --prompts assets/prompts/unseen-pictures.json   # captions, against what the pictures show
//   bitreel judge out/*.png --own-captions                                  # out/a.png against what out/a.txt says
//
// With a prompts file (format: pipelines/quality/score.h) each clip is scored against its entry: the one whose "file"
// is the clip's name; where entries name no files, the one whose index, from 0, is the number at the end of the clip's
// name (clip-012.mp4 is entry 12); where the names do not all end in numbers, the one with the clip's index on the
// command line. A clip whose provenance states another prompt than its entry is refused (a picture's is its
// sidecar's). A caption is scored by what it names (pipelines/quality/caption.h). --at-least:
// app/commands/score_floor.h. Errors: clips that cannot be read, or whose size or frame count is not the domain's, are
// named; nothing is written.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>
#include <vector>

namespace bitreel {

struct JudgeCommand {
  std::vector<std::filesystem::path> clips;
  std::filesystem::path prompts;  // empty: say what is seen, score nothing
  bool own_captions = false;      // score pictures against the captions beside them
  std::vector<std::string> at_least;
  std::filesystem::path domain;  // empty: the default model's
  std::filesystem::path output;  // JSON; empty: none
  std::filesystem::path sheet;   // PNG; empty: none
  int objects = 1;               // in each clip, where no prompts file says
};

// Prints to stdout; returns the exit code.
int run_judge(const JudgeCommand& command);

void add_judge(CLI::App& app);

}  // namespace bitreel
