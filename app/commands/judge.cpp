#include "app/commands/judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "app/assets.h"
#include "app/commands/judged_file.h"
#include "app/commands/score_floor.h"
#include "app/reports/contact_sheet.h"
#include "base/error.h"
#include "base/json_text.h"
#include "base/number_text.h"
#include "base/printable.h"
#include "base/readable_json.h"
#include "base/standard_streams.h"
#include "base/written_file.h"
#include "pipelines/image/picture.h"
#include "pipelines/quality/caption.h"
#include "pipelines/quality/judge.h"
#include "pipelines/quality/score.h"

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

// The number at the end of clip-012.mp4: 12.
std::optional<size_t> number_of(const fs::path& clip) {
  const std::string stem = clip.stem().string();
  const size_t digits = stem.size() - (stem.find_last_not_of("0123456789") + 1);
  return number_from<size_t>(stem.substr(stem.size() - digits));
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
                        word(object.shape), word(object.place.empty() ? object.motion : object.place));
  if (seen.others > 0) text += " and something else";
  return fmt::format("{} on {}", text.empty() ? "nothing" : text, word(seen.background));
}

ordered_json json_of(const Judgement& seen) {
  ordered_json objects = ordered_json::array();
  for (const SeenObject& object : seen.objects)
    objects.push_back({{"colour", object.colour},
                       {"shape", object.shape},
                       {"size", object.size},
                       {"motion", object.motion},
                       {"place", object.place},
                       {"confidence", object.confidence},
                       {"overlap", object.overlap},
                       {"radius", object.radius},
                       {"edge_width", object.edge_width},
                       {"stray", object.stray}});
  return {{"background", seen.background}, {"flicker", seen.flicker}, {"others", seen.others}, {"objects", objects}};
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

// What one file is scored against: its prompt, or with --own-captions the caption beside it. Nothing: not scored.
std::optional<Expectation> asked_of(const JudgeCommand& command, const JudgedFile& file, size_t index,
                                    const Domain& domain, const std::vector<Expectation>& asked,
                                    const std::vector<size_t>& entries) {
  const fs::path& path = command.clips[index];
  if (command.own_captions) {
    const std::string text = read_caption_file(fs::path(path).replace_extension(".txt"));
    return quality::expected_by(text, quality::read_caption(text, domain));
  }
  if (asked.empty()) return std::nullopt;
  const Expectation& entry = asked[entries[index]];
  if (!file.prompt.empty() && file.prompt != entry.prompt)
    throw Error(fmt::format("{} was made from \"{}\", entry {} asks for \"{}\"", path.string(), file.prompt,
                            entries[index], entry.prompt),
                "give the prompts in the order of the clips");
  return entry;
}

Judgement look_at(const JudgedFile& file, const Domain& domain, int objects) {
  switch (file.kind) {
    case JudgedKind::caption:
      return quality::read_caption(file.caption, domain);
    case JudgedKind::picture:
      return quality::judge_picture(file.frames[0], domain, {.objects = objects});
    case JudgedKind::clip:
      break;
  }
  return quality::judge(file.frames, domain, {.objects = objects});
}

void check_kinds(const JudgeCommand& command) {
  const JudgedKind kind = judged_kind(command.clips[0]);
  for (const fs::path& file : command.clips) {
    if (judged_kind(file) != kind)
      throw UsageError(fmt::format("{} and {} are not of one kind", command.clips[0].string(), file.string()),
                       "judge clips, pictures and captions one after the other");
    if (command.own_captions && kind != JudgedKind::picture)
      throw UsageError(fmt::format("{}: --own-captions takes pictures", file.string()));
  }
  if (kind == JudgedKind::caption && !command.sheet.empty())
    throw UsageError("--sheet shows clips and pictures, not captions");
  if (!command.at_least.empty() && command.prompts.empty() && !command.own_captions)
    throw UsageError("--at-least needs a score: give --prompts or --own-captions");
}

void check_floors(const std::vector<ScoreFloor>& floors, const quality::ScoreTable& table) {
  std::string missed;
  for (const ScoreFloor& floor : floors)
    if (const std::string text = floor.missed_by(table); !text.empty()) missed += (missed.empty() ? "" : "; ") + text;
  if (!missed.empty()) throw Error(missed);
}

}  // namespace

int run_judge(const JudgeCommand& command) {
  check_kinds(command);
  std::vector<ScoreFloor> floors;
  for (const std::string& text : command.at_least) floors.push_back(parse_score_floor(text));
  check_can_write(command.output);
  check_can_write(command.sheet);
  if (!command.sheet.empty()) check_can_be_written(command.sheet);
  for (const fs::path& output : {command.output, command.sheet}) check_spares(output, command.clips);
  const Domain domain = Domain::read(command.domain.empty() ? asset("assets/pocket/domain.json") : command.domain);
  std::vector<Expectation> asked;
  std::vector<size_t> entries;
  if (!command.prompts.empty()) {
    asked = quality::read_expectations(command.prompts, domain);
    entries = entries_of(command.clips, asked);
  }

  quality::ScoreTable table;
  ContactSheet sheet;
  ordered_json rows = ordered_json::array();
  const bool scored = !asked.empty() || command.own_captions;
  for (size_t i = 0; i < command.clips.size(); ++i) {
    const JudgedFile file = read_judged(command.clips[i], domain);
    const std::optional<Expectation> entry = asked_of(command, file, i, domain, asked, entries);
    const Judgement seen = look_at(file, domain, entry ? static_cast<int>(entry->objects.size()) : command.objects);

    ordered_json row{{"file", command.clips[i].string()}};
    if (file.kind == JudgedKind::caption) row["caption"] = file.caption;
    std::vector<Caption> captions{{.text = fmt::format("{}: {}", command.clips[i].filename().string(), file.prompt)}};
    Verdict verdict = Verdict::plain;
    if (entry) {
      const ClipScore score =
          file.kind == JudgedKind::caption ? quality::compare_caption(*entry, seen) : quality::compare(*entry, seen);
      table.add(score);
      row["prompt"] = entry->prompt;
      row["score"] = json_of(score);
      verdict = score.of(Attribute::everything).right == 1 ? Verdict::right : Verdict::wrong;
      captions = {{.text = fmt::format("{} {}", command.own_captions ? i : entries[i], entry->prompt)}};
    }
    row["seen"] = json_of(seen);
    rows.push_back(row);
    captions.push_back({.text = sentence(seen), .verdict = verdict});
    print_output(printable(fmt::format("{}{}: {}", command.clips[i].string(),
                                       verdict == Verdict::wrong ? " (wrong)" : "", sentence(seen))) +
                 "\n");
    if (!command.sheet.empty()) sheet.add(file.frames, captions);
  }
  if (scored) print_output(printable_lines("\n" + table.text()));

  if (!command.output.empty()) {
    ordered_json result = {{"bitreel_judgement", judgement_format_version}};
    if (scored) result.update({{"one_object", json_of(table, 1)}, {"two_objects", json_of(table, 2)}});
    result["clips"] = rows;
    write_whole(command.output, readable_json(result));
  }
  if (!command.sheet.empty()) sheet.save(command.sheet);
  check_floors(floors, table);
  return 0;
}

void add_judge(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "judge", "What clips, pictures and captions of the default models show, scored against their prompts");
  auto state = std::make_shared<JudgeCommand>();
  command
      ->add_option("clips", state->clips,
                   "Videos or pictures of the default models' size and length, or captions (.txt)")
      ->required()
      ->type_name("FILE");
  auto* prompts = command->add_option("--prompts", state->prompts, "JSON list of what was asked: scores the clips");
  prompts->type_name("FILE");
  command
      ->add_flag("--own-captions", state->own_captions,
                 "Scores each picture against the caption beside it: a.png against a.txt")
      ->excludes(prompts);
  command->add_option("--objects", state->objects, "Objects in each clip, without --prompts")
      ->check(CLI::Range(1, 2))
      ->type_name("1|2")
      ->excludes(prompts);
  command
      ->add_option(
          "--at-least", state->at_least,
          "Exits with 1 when a score is lower: colour=98 of all prompts, one.shape=95 of those for one object, "
          "two.all=60 of those for two")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("ATTRIBUTE=PERCENT");
  command->add_option("--domain", state->domain, "The judge's vocabulary [the default models' domain.json]")
      ->type_name("FILE");
  command->add_option("--output", state->output, "Every clip's row and the scores, as JSON")->type_name("FILE");
  command
      ->add_option(
          "--sheet", state->sheet,
          "Five frames of every clip, or every picture, with what was asked and seen; PNG, JPEG or WebP by its name")
      ->type_name("FILE");
  command->callback([state] { run_judge(*state); });
}

}  // namespace bitreel
