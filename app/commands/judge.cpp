#include "app/commands/judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "app/assets.h"
#include "app/reports/contact_sheet.h"
#include "base/error.h"
#include "base/json_text.h"
#include "base/printable.h"
#include "base/readable_json.h"
#include "base/standard_streams.h"
#include "base/written_file.h"
#include "pipelines/quality/judge.h"
#include "pipelines/quality/score.h"
#include "pipelines/video/frame_copy.h"
#include "pipelines/video/reader.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;
using quality::Attribute;
using quality::ClipScore;
using quality::Domain;
using quality::Expectation;
using quality::Judgement;
using quality::SeenObject;

constexpr int judgement_format_version = 1;  // of --output: docs/documents.md

struct JudgedClip {
  std::vector<cv::Mat> frames;
  std::string prompt;  // of its provenance; empty: none
};

std::string prompt_of(const std::string& comment) {
  const auto json = parse_json_if_any(comment);
  if (!json.is_object() || !json.contains("config") || !json["config"].is_object()) return {};
  const auto prompt = json["config"].find("prompt");
  return prompt != json["config"].end() && prompt->is_string() ? prompt->get<std::string>() : std::string();
}

JudgedClip read_clip(const fs::path& path, const Domain& domain) {
  VideoReader video(path);
  const VideoInfo& info = video.info();
  if (info.width != domain.width || info.height != domain.height)
    throw Error(fmt::format("{} is {}x{}, the judge reads {}x{}", path.string(), info.width, info.height, domain.width,
                            domain.height));
  JudgedClip clip{.frames = {}, .prompt = prompt_of(info.comment)};
  while (const std::optional<Frame> frame = video.next()) clip.frames.push_back(copy_of(*frame));
  if (static_cast<int>(clip.frames.size()) != domain.frames)
    throw Error(fmt::format("{} has {} frames, the judge reads {}", path.string(), clip.frames.size(), domain.frames));
  return clip;
}

// The number at the end of clip-012.mp4: 12.
std::optional<size_t> number_of(const fs::path& clip) {
  const std::string stem = clip.stem().string();
  const size_t digits = stem.size() - (stem.find_last_not_of("0123456789") + 1);
  size_t number = 0;
  if (std::from_chars(stem.data() + stem.size() - digits, stem.data() + stem.size(), number).ec != std::errc())
    return std::nullopt;
  return number;
}

// The entry of every clip; judge.h says which.
std::vector<size_t> entries_of(const std::vector<fs::path>& clips, const std::vector<Expectation>& asked) {
  const bool named = std::ranges::any_of(asked, [](const Expectation& entry) { return !entry.file.empty(); });
  const bool numbered = std::ranges::all_of(clips, [](const fs::path& clip) { return number_of(clip).has_value(); });
  std::vector<size_t> entries;
  std::map<size_t, fs::path> taken;
  for (size_t i = 0; i < clips.size(); ++i) {
    size_t entry = numbered ? *number_of(clips[i]) : i;
    if (named)
      entry = static_cast<size_t>(std::ranges::find(asked, clips[i].filename().string(), &Expectation::file) -
                                  asked.begin());
    if (entry >= asked.size())
      throw Error(fmt::format("{} has no entry among the {} prompts", clips[i].string(), asked.size()),
                  named ? "the entries' \"file\" says which clip is meant"
                        : "a number at the end of a clip's name is its entry, counted from 0");
    if (const auto [other, fresh] = taken.emplace(entry, clips[i]); !fresh)
      throw Error(fmt::format("{} and {} are both entry {}", other->second.string(), clips[i].string(), entry));
    entries.push_back(entry);
  }
  if (!named && !numbered && clips.size() != asked.size())
    throw Error(
        fmt::format("{} clips for {} prompts, and their names do not end in numbers", clips.size(), asked.size()),
        "give as many clips as prompts, or name them by their entry: clip-000.mp4");
  return entries;
}

std::string word(const std::string& name) {
  return name.empty() ? "?" : name;
}

std::string sentence(const Judgement& seen) {
  std::string text;
  for (const SeenObject& object : seen.objects)
    text += fmt::format("{}{} {} {} {}", text.empty() ? "" : " and ", word(object.size), word(object.colour),
                        word(object.shape), word(object.motion));
  return fmt::format("{} on {}", text.empty() ? "nothing" : text, word(seen.background));
}

ordered_json json_of(const Judgement& seen) {
  ordered_json objects = ordered_json::array();
  for (const SeenObject& object : seen.objects)
    objects.push_back({{"colour", object.colour},
                       {"shape", object.shape},
                       {"size", object.size},
                       {"motion", object.motion},
                       {"confidence", object.confidence},
                       {"overlap", object.overlap},
                       {"radius", object.radius},
                       {"edge_width", object.edge_width},
                       {"stray", object.stray}});
  return {{"background", seen.background}, {"flicker", seen.flicker}, {"objects", objects}};
}

ordered_json json_of(const ClipScore& score) {
  ordered_json result;
  for (size_t i = 0; i < quality::attribute_names.size(); ++i)
    result[quality::attribute_names[i]] = {{"right", score.counts[i].right}, {"asked", score.counts[i].asked}};
  return result;
}

ordered_json json_of(const quality::ScoreTable& table, int objects) {
  ordered_json result;
  for (size_t i = 0; i < quality::attribute_names.size(); ++i) {
    const quality::Count& count = table.of(objects, static_cast<Attribute>(i));
    result[quality::attribute_names[i]] = {
        {"percent", count.percent()}, {"right", count.right}, {"asked", count.asked}};
  }
  return result;
}

}  // namespace

int run_judge(const JudgeCommand& command) {
  check_can_write(command.output);
  check_can_write(command.sheet);
  for (const fs::path& output : {command.output, command.sheet}) check_spares(output, command.clips);
  const Domain domain = Domain::read(command.domain.empty() ? asset("assets/pocket/domain.json") : command.domain);
  const bool scored = !command.prompts.empty();
  std::vector<Expectation> asked;
  std::vector<size_t> entries;
  if (scored) {
    asked = quality::read_expectations(command.prompts, domain);
    entries = entries_of(command.clips, asked);
  }

  quality::ScoreTable table;
  ContactSheet sheet;
  ordered_json rows = ordered_json::array();
  for (size_t i = 0; i < command.clips.size(); ++i) {
    const JudgedClip clip = read_clip(command.clips[i], domain);
    const Expectation* entry = scored ? &asked[entries[i]] : nullptr;
    if (entry != nullptr && !clip.prompt.empty() && clip.prompt != entry->prompt)
      throw Error(fmt::format("{} was made from \"{}\", entry {} asks for \"{}\"", command.clips[i].string(),
                              clip.prompt, entries[i], entry->prompt),
                  "give the prompts in the order of the clips");
    const int objects = entry != nullptr ? static_cast<int>(entry->objects.size()) : command.objects;
    const Judgement seen = quality::judge(clip.frames, domain, {.objects = objects});

    ordered_json row{{"file", command.clips[i].string()}};
    std::vector<Caption> captions{{.text = fmt::format("{}: {}", command.clips[i].filename().string(), clip.prompt)}};
    Verdict verdict = Verdict::plain;
    if (entry != nullptr) {
      const ClipScore score = quality::compare(*entry, seen);
      table.add(score);
      row["prompt"] = entry->prompt;
      row["score"] = json_of(score);
      verdict = score.of(Attribute::everything).right == 1 ? Verdict::right : Verdict::wrong;
      captions = {{.text = fmt::format("{} {}", entries[i], entry->prompt)}};
    }
    row["seen"] = json_of(seen);
    rows.push_back(row);
    captions.push_back({.text = sentence(seen), .verdict = verdict});
    print_output(printable(fmt::format("{}{}: {}", command.clips[i].string(),
                                       verdict == Verdict::wrong ? " (wrong)" : "", sentence(seen))) +
                 "\n");
    if (!command.sheet.empty()) sheet.add(clip.frames, captions);
  }
  if (scored) print_output(printable_lines("\n" + table.text()));

  if (!command.output.empty()) {
    ordered_json result = {{"bitreel_judgement", judgement_format_version}};
    if (scored) result.update({{"one_object", json_of(table, 1)}, {"two_objects", json_of(table, 2)}});
    result["clips"] = rows;
    write_whole(command.output, readable_json(result));
  }
  if (!command.sheet.empty()) sheet.save(command.sheet);
  return 0;
}

void add_judge(CLI::App& app) {
  CLI::App* command = app.add_subcommand("judge", "What clips of the default model show, scored against their prompts");
  auto state = std::make_shared<JudgeCommand>();
  command->add_option("clips", state->clips, "Videos of the default model's size and length")
      ->required()
      ->type_name("CLIP");
  auto* prompts = command->add_option("--prompts", state->prompts, "JSON list of what was asked: scores the clips");
  prompts->type_name("FILE");
  command->add_option("--objects", state->objects, "Objects in each clip, without --prompts")
      ->check(CLI::Range(1, 2))
      ->type_name("1|2")
      ->excludes(prompts);
  command->add_option("--domain", state->domain, "The judge's vocabulary [the default model's domain.json]")
      ->type_name("FILE");
  command->add_option("--output", state->output, "Every clip's row and the scores, as JSON")->type_name("FILE");
  command->add_option("--sheet", state->sheet, "Five frames of every clip with what was asked and seen, as PNG")
      ->type_name("FILE");
  command->callback([state] { run_judge(*state); });
}

}  // namespace bitreel
