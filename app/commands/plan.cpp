#include "app/commands/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "app/reports/plan_pictures.h"
#include "base/error.h"
#include "base/number_text.h"
#include "base/printable.h"
#include "base/standard_streams.h"
#include "base/written_file.h"
#include "schedulers/precision/attention_choice.h"
#include "schedulers/precision/measurement_file.h"
#include "schedulers/precision/plan_file.h"
#include "schedulers/precision/planner.h"
#include "schedulers/precision/ranges.h"
#include "schedulers/precision/rank_correlation.h"
#include "schedulers/precision/sage1_adaptive.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

constexpr const char* default_share = "30%";  // the paper's, for Llama3.1
constexpr std::size_t front_rows = 12;

double plan_number(std::string_view text, const std::string& flag, const std::string& expected) {
  const std::optional<double> value = number_from<double>(text);
  if (!value) throw UsageError(fmt::format("{} is \"{}\", expected {}", flag, text, expected));
  return *value;
}

// 30% or 0.3.
double share_from(const std::string& text, const std::string& flag) {
  const std::string expected = "a share such as 30% or 0.3";
  const bool percent = text.ends_with('%');
  const std::string_view digits = std::string_view(text).substr(0, text.size() - (percent ? 1 : 0));
  const double share = plan_number(digits, flag, expected) / (percent ? 100 : 1);
  if (!(share >= 0 && share <= 1))
    throw UsageError(fmt::format("{} is {}, expected {}", flag, text, expected),
                     percent ? "" : fmt::format("did you mean {}%?", text));
  return share;
}

PlannerOptions planner_options(const PlanCommand& command) {
  PlannerOptions options{.judged_by = command.judged_by == "worst" ? PromptStatistic::worst : PromptStatistic::mean};
  if (command.precisions.empty()) return options;
  for (const std::string_view name : split(command.precisions, ','))
    options.precisions.push_back(parse_precision(name, "--precisions"));
  return options;
}

// "int4=0.5,int8=0.6": seconds of calls whose full precision takes what was measured.
std::map<Precision, double> seconds_from(const std::string& costs, double full) {
  std::map<Precision, double> seconds;
  if (costs.empty()) return seconds;
  const std::string expected = "a part of full precision's time such as int4=0.5";
  for (const std::string_view rule : split(costs, ',')) {
    const std::vector<std::string_view> sides = split(rule, '=');
    const double part = sides.size() == 2 ? plan_number(sides[1], "--costs", expected) : 0;
    if (!(part > 0)) throw UsageError(fmt::format("--costs is \"{}\", expected {}", rule, expected));
    seconds[parse_precision(sides[0], "--costs")] = part * full;
  }
  return seconds;
}

Measurement read_all(const std::vector<fs::path>& files) {
  Measurement measurement = read_measurement(files.front());
  for (auto file = files.begin() + 1; file != files.end(); ++file)
    measurement.merge(read_measurement(*file), file->string());
  return measurement;
}

// What the person asked for, in words, and the plan that follows.
struct Choice {
  std::string rule;
  PlannedTable table;
};

Choice choose(const PlanCommand& command, const Measurement& measurement, const Planner& planner) {
  if (!command.min_score.empty()) {
    const double score = plan_number(command.min_score, "--min-score", "a score such as 0.98");
    return {fmt::format("--min-score {}", command.min_score), planner.min_score(score)};
  }
  if (!command.max_error.empty()) {
    const double error = plan_number(command.max_error, "--max-error", "an error such as 0.01");
    return {fmt::format("--max-error {}", command.max_error), planner.max_error(error)};
  }
  if (!command.rule.empty()) {
    return {fmt::format("--rule {}", command.rule), planner.judge(sage1_adaptive(measurement))};
  }
  const std::string share = command.share.empty() ? default_share : command.share;
  ShareOptions options{.eight_bit = share_from(share, "--share")};
  std::string rule = fmt::format("--share {}", share);
  if (!command.full_share.empty()) {
    options.full = share_from(command.full_share, "--full-share");
    rule += fmt::format(" --full-share {}", command.full_share);
  }
  return {std::move(rule), planner.share(options)};
}

std::string measured_text(const Measurement& measurement, const Planner& planner) {
  const MeasurementDesign& design = measurement.design();
  const AttentionShape& shape = design.shape;
  std::string text = fmt::format(
      "{}, {}: {} layers, {} steps; {} prompt{} on {}\nattention {} x {} heads, {} queries, {} keys, head dim {}\n\n"
      "precision   ms a call   of full   mean error   worst error\n",
      design.made_for.model, design.made_for.scheduler, design.made_for.layers, design.made_for.steps(),
      measurement.prompts().size(), measurement.prompts().size() == 1 ? "" : "s", design.device, shape.batch,
      shape.heads, shape.queries, shape.keys, shape.head_dim);
  std::vector<Precision> shown = design.precisions;
  shown.insert(shown.begin(), Precision::full);
  for (const Precision precision : shown) {
    double worst = 0;
    for (std::size_t step = 0; step < design.made_for.steps(); ++step) {
      for (std::size_t layer = 0; layer < static_cast<std::size_t>(design.made_for.layers); ++layer)
        worst = std::max(worst, planner.worst_error(layer, step, precision));
    }
    text += fmt::format(
        "{:<9}   {:>9.4g}   {:>6.1f}%   {:>10.3g}   {:>11.3g}\n", name_of(precision), 1e3 * planner.seconds(precision),
        100 * planner.seconds(precision) / planner.seconds(Precision::full), planner.uniform(precision).error, worst);
  }
  for (const std::string& remark : planner.remarks()) text += fmt::format("note: {}\n", remark);
  return text;
}

// A dozen points of the front, evenly spaced in time, both ends among them.
std::string front_text(const Planner& planner) {
  const std::vector<ParetoPoint> front = planner.front();
  const double full = planner.uniform(Precision::full).seconds;
  std::string text =
      "Pareto front: predicted error against predicted seconds of attention in one denoising\n"
      "     error   seconds   of full\n";
  const double least = front.front().seconds, span = front.back().seconds - least;
  const std::size_t rows = std::min(front_rows, front.size());
  for (std::size_t row = 0; row < rows; ++row) {
    const double wanted = rows == 1 ? least : least + span * static_cast<double>(row) / static_cast<double>(rows - 1);
    const auto point =
        std::ranges::find_if(front, [wanted, span](const ParetoPoint& p) { return p.seconds >= wanted - 1e-9 * span; });
    const ParetoPoint& shown = point == front.end() ? front.back() : *point;
    text += fmt::format("{:>10.4g}   {:>7.4g}   {:>6.1f}%\n", shown.error, shown.seconds, 100 * shown.seconds / full);
  }
  return text;
}

std::string save_pictures(const PlanCommand& command, const Planner& planner, const PlannedTable& table) {
  std::vector<std::pair<std::string, Scene>> scenes = {{"plan", plan_map(table.plan)},
                                                       {"pareto", pareto_chart(planner, table)},
                                                       {"error-over-steps", error_over_steps(planner, table)}};
  for (const Precision precision : planner.candidates()) {
    if (precision != Precision::full)
      scenes.emplace_back(fmt::format("scores-{}", name_of(precision)), score_map(planner, precision));
  }
  for (const auto& [name, scene] : scenes) {
    if (command.format != "png") write_whole(command.pictures / (name + ".svg"), to_svg(scene));
    if (command.format != "svg") write_whole(command.pictures / (name + ".png"), to_png(scene));
  }
  return fmt::format("\n{} pictures are in {}\n", scenes.size(), command.pictures.string());
}

std::string rank_correlation_text(const Measurement& measurement, const fs::path& held_out) {
  const Measurement other = read_measurement(held_out);
  std::string text =
      fmt::format("\nrank correlation (Spearman) of the cells' scores with those of {} other prompts in {}:\n",
                  other.prompts().size(), held_out.string());
  for (const Precision precision : measurement.design().precisions) {
    if (std::ranges::find(other.design().precisions, precision) == other.design().precisions.end()) continue;
    text += fmt::format("  {:<9} {:.4f}\n", name_of(precision), rank_correlation(measurement, other, precision));
  }
  return text;
}

}  // namespace

std::string run_plan(const PlanCommand& command) {
  check_can_write(command.output);
  check_spares(command.output, command.measurements);
  check_spares(command.output, {command.held_out});
  const Measurement measurement = read_all(command.measurements);
  PlannerOptions planning = planner_options(command);
  planning.seconds = seconds_from(command.costs, measurement.median_seconds(Precision::full));
  const Planner planner(measurement, planning);
  auto [rule, table] = choose(command, measurement, planner);
  make_folder(command.pictures);
  const double full = planner.uniform(Precision::full).seconds;
  table.plan.note = fmt::format("bitreel plan {}: predicted error {:.4g}, {:.4g} s of attention ({:.1f} % of full's)",
                                rule, table.error, table.seconds, 100 * table.seconds / full);

  std::string report = fmt::format(
      "{}\n{}: {}\npredicted error {:.4g}, {:.4g} s of attention in one denoising, {:.1f} % of full precision's\n"
      "plan {}\n{}\n{}",
      measured_text(measurement, planner), rule, shares_text(table.plan), table.error, table.seconds,
      100 * table.seconds / full, table.plan.hash(), table_text(table.plan), front_text(planner));
  if (!command.costs.empty()) report += fmt::format("costs are not this device's but as given: {}\n", command.costs);
  if (!command.held_out.empty()) report += rank_correlation_text(measurement, command.held_out);
  if (!command.output.empty()) {
    write_whole(command.output, to_yaml(table.plan));
    report += fmt::format("\nwritten to {}: bitreel generate --attention {} ...\n", command.output.string(),
                          command.output.string());
  }
  if (!command.pictures.empty()) report += save_pictures(command, planner, table);
  return report;
}

void add_plan(CLI::App& app) {
  CLI::App* command = app.add_subcommand("plan", "Which layer of which step gets how many bits, from measurements");
  auto state = std::make_shared<PlanCommand>();
  command->add_option("measurements", state->measurements, "What bitreel calibrate wrote, of one model")
      ->required()
      ->type_name("MEASURED.json");
  command->add_option("--output", state->output, "The plan, for bitreel generate --attention")->type_name("PLAN.yaml");
  auto* share =
      command->add_option("--share", state->share, "Worst-scoring share of cells that gets 8 bits, the rest 4 [30%]");
  auto* min_score =
      command->add_option("--min-score", state->min_score, "Every cell's fastest precision that scores this");
  auto* max_error =
      command->add_option("--max-error", state->max_error, "The fastest plan whose predicted error is at most this");
  auto* rule = command->add_option("--rule", state->rule,
                                   "sage1-adaptive: SageAttention's, by layer: sage1-vb where its cosine similarity "
                                   "always exceeds 0.998, else sage1-b, or full where that was not measured");
  auto* full_share = command->add_option("--full-share", state->full_share,
                                         "With --share: part of it that gets full precision, the worst 8-bit scores");
  share->type_name("SHARE");
  full_share->type_name("SHARE")->excludes(min_score)->excludes(max_error);
  min_score->type_name("SCORE")->excludes(share)->excludes(max_error);
  max_error->type_name("ERROR")->excludes(share);
  rule->type_name("RULE")->check(CLI::IsMember({"sage1-adaptive"}));
  rule->excludes(share)->excludes(min_score)->excludes(max_error)->excludes(full_share);
  command->add_option("--precisions", state->precisions, "Plan with these only, such as int4,int8,full [all measured]")
      ->type_name("LIST");
  command
      ->add_option("--costs", state->costs,
                   "Plan for another device: parts of full precision's time, such as int4=0.5,int8=0.6 [as measured]")
      ->type_name("LIST");
  command
      ->add_option("--held-out", state->held_out,
                   "A measurement of other prompts: how well the ranking of cells carries over")
      ->type_name("MEASURED.json");
  command->add_option("--by", state->judged_by, "A cell's score is that of its prompts' mean or worst [mean]")
      ->check(CLI::IsMember({"mean", "worst"}))
      ->type_name("mean|worst");
  command
      ->add_option("--pictures", state->pictures,
                   "Folder for heat maps of scores and plan, Pareto chart, error over steps")
      ->type_name("FOLDER");
  command->add_option("--format", state->format, "Of the pictures [both]")
      ->check(CLI::IsMember({"svg", "png", "both"}))
      ->type_name("svg|png|both");
  command->callback([state] { print_output(printable_lines(run_plan(*state))); });
}

}  // namespace bitreel
