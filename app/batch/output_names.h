// Where the clips of a batch go: names made from what the jobs are.
//
//   const NameTemplate name = NameTemplate::parse("{name}/{seed:04}-{attention}.mp4", "jobs.yaml:9:9: output");
//   name.fill(job);                       // "star/0007-int8.mp4"
//   name_outputs(jobs, "out/batch");      // every job's output and save_latents; throws before any work
//
// Fields: index (from 0), name, prompt_slug (the prompt's words, up to 48 bytes), and every setting by its key. `:03`
// fills numbers with zeros. {{ and }} are braces. A value that the checkpoint decides and nobody gave is "auto".
// Of values only what a file's name can hold everywhere is kept; '/' in a template makes folders.
// Errors: UsageError with the place in the file: unknown fields (naming the nearest), names that leave the folder, two
// jobs with one name or names that differ in the extension only (what is kept beside a clip while it is made would be
// both's: a.mp4, a.webm and a.latents.safetensors), and names that a batch's own files have.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "app/batch/job.h"

namespace bitreel {

inline constexpr const char* default_output_template = "{index:03}-{name}.mp4";

class NameTemplate {
 public:
  // where: how the person named it ("jobs.yaml:9:9: output").
  static NameTemplate parse(const std::string& text, const std::string& where);
  // The template that stands for the text itself.
  static std::string literal(std::string_view text);

  [[nodiscard]] std::string fill(const Job& job) const;

 private:
  struct Part {
    std::string literal;  // or, if empty:
    std::string field;
    std::size_t width = 0;
  };
  std::vector<Part> parts_;
};

// "A red circle, moving right!" -> "a-red-circle-moving-right"; cut between words. Never empty.
std::string slug(std::string_view text);

void name_outputs(std::vector<Job>& jobs, const std::filesystem::path& folder);

}  // namespace bitreel
