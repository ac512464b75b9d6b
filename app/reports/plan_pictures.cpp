#include "app/reports/plan_pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <set>
#include <string>

#include "app/reports/chart.h"

namespace bitreel {
namespace {

constexpr Colour ink{40, 40, 40};
constexpr double map_left = 64, map_top = 64, map_bottom = 76, map_right = 150;

// Nine points of Cividis, dark to light.
constexpr std::array<Colour, 9> cividis = {{{0, 34, 78},
                                            {26, 56, 111},
                                            {67, 78, 108},
                                            {98, 100, 112},
                                            {125, 124, 120},
                                            {155, 148, 117},
                                            {188, 175, 106},
                                            {222, 203, 83},
                                            {254, 232, 56}}};

Colour on_scale(double share) {
  const double at = std::clamp(share, 0.0, 1.0) * static_cast<double>(cividis.size() - 1);
  const auto index = std::min(static_cast<std::size_t>(at), cividis.size() - 2);
  const double rest = at - static_cast<double>(index);
  const auto mix = [rest](std::uint8_t a, std::uint8_t b) {
    return static_cast<std::uint8_t>(std::lround(a + rest * (b - a)));
  };
  const Colour &a = cividis[index], &b = cividis[index + 1];
  return {mix(a.red, b.red), mix(a.green, b.green), mix(a.blue, b.blue)};
}

// In the order of all_precisions(), after Okabe and Ito; of the usual three the one with fewer bits is lighter.
constexpr auto precision_colours = std::to_array<Colour>({{110, 30, 90},
                                                          {0, 114, 178},
                                                          {230, 170, 40},
                                                          {86, 180, 233},
                                                          {204, 121, 167},
                                                          {213, 94, 0},
                                                          {128, 128, 128},
                                                          {0, 158, 115},
                                                          {240, 228, 66}});

// The same in every picture.
Colour colour_of(Precision precision) {
  const auto index = static_cast<std::size_t>(precision);
  return index < precision_colours.size() ? precision_colours[index] : ink;
}

constexpr Colour plan_colour{0, 0, 0};  // of a plan's own line and dot

struct MapSize {
  std::size_t layers, steps;
  // Wide enough for long denoisings, cells not too small to see nor too large to compare.
  [[nodiscard]] double cell_width() const { return std::clamp(600.0 / static_cast<double>(steps), 4.0, 28.0); }
  [[nodiscard]] double cell_height() const { return std::clamp(320.0 / static_cast<double>(layers), 6.0, 22.0); }
  [[nodiscard]] double width() const { return cell_width() * static_cast<double>(steps); }
  [[nodiscard]] double height() const { return cell_height() * static_cast<double>(layers); }
};

// Layers downwards by steps across, each cell's colour as asked, with numbers on both axes and timesteps below.
Scene map_of(const std::string& title, const std::string& subtitle, const PlanTarget& target,
             const std::function<Colour(std::size_t layer, std::size_t step)>& colour) {
  const MapSize size{.layers = static_cast<std::size_t>(target.layers), .steps = target.steps()};
  Scene scene{.width = map_left + std::max(size.width(), 260.0) + map_right,
              .height = map_top + std::max(size.height(), 120.0) + map_bottom};
  scene.add(Words{.x = map_left, .y = 24, .text = title, .size = 15, .colour = ink});
  scene.add(Words{.x = map_left, .y = 44, .text = subtitle, .colour = {90, 90, 90}});
  for (std::size_t step = 0; step < size.steps; ++step) {
    for (std::size_t layer = 0; layer < size.layers; ++layer)
      scene.add(Box{.x = map_left + size.cell_width() * static_cast<double>(step),
                    .y = map_top + size.cell_height() * static_cast<double>(layer),
                    .width = size.cell_width() - 0.5,
                    .height = size.cell_height() - 0.5,
                    .fill = colour(layer, step)});
  }
  const auto last_layer = static_cast<double>(size.layers - 1), last_step = static_cast<double>(size.steps - 1);
  const double under = map_top + size.height();
  const auto whole = [](double value) { return std::abs(value - std::round(value)) < 1e-6; };
  for (const double layer : ticks(0, last_layer, static_cast<int>(size.height() / 24))) {
    if (whole(layer))
      scene.add(Words{.x = map_left - 8,
                      .y = map_top + size.cell_height() * (layer + 0.5) + 4,
                      .text = fmt::format("{:.0f}", layer),
                      .anchor = Anchor::end,
                      .colour = ink});
  }
  for (const double step : ticks(0, last_step, static_cast<int>(size.width() / 44))) {
    if (!whole(step)) continue;
    const double x = map_left + size.cell_width() * (step + 0.5);
    const std::int64_t timestep = target.timesteps[static_cast<std::size_t>(std::lround(step))];
    scene.add(
        Words{.x = x, .y = under + 16, .text = fmt::format("{:.0f}", step), .anchor = Anchor::middle, .colour = ink});
    scene.add(Words{.x = x,
                    .y = under + 32,
                    .text = fmt::format("{}", timestep),
                    .size = 10,
                    .anchor = Anchor::middle,
                    .colour = {120, 120, 120}});
  }
  scene.add(Words{.x = map_left + size.width() / 2,
                  .y = under + 54,
                  .text = "step (below: its timestep)",
                  .size = 13,
                  .anchor = Anchor::middle,
                  .colour = ink});
  scene.add(Words{.x = 22,
                  .y = map_top + size.height() / 2,
                  .text = "layer",
                  .size = 13,
                  .anchor = Anchor::middle,
                  .direction = Direction::upwards,
                  .colour = ink});
  return scene;
}

const PlanTarget& target_of(const PlannedTable& table) {
  return table.plan.made_for();
}

double mean_over_layers(const Planner& planner, std::size_t step, const std::function<Precision(std::size_t)>& in) {
  double sum = 0;
  const auto layers = static_cast<std::size_t>(planner.target().layers);
  for (std::size_t layer = 0; layer < layers; ++layer) sum += planner.error(layer, step, in(layer));
  return sum / static_cast<double>(layers);
}

}  // namespace

Scene score_map(const Planner& planner, Precision precision) {
  const PlanTarget& target = planner.target();
  double least = 1, most = -std::numeric_limits<double>::infinity();
  const auto score = [&](std::size_t layer, std::size_t step) { return 1 - planner.error(layer, step, precision); };
  for (std::size_t step = 0; step < target.steps(); ++step) {
    for (std::size_t layer = 0; layer < static_cast<std::size_t>(target.layers); ++layer) {
      least = std::min(least, score(layer, step));
      most = std::max(most, score(layer, step));
    }
  }
  const double span = most > least ? most - least : 1;
  Scene scene = map_of(
      fmt::format("Score of {} in every layer and step", name_of(precision)),
      fmt::format("CosSim * (1 - relative L1) against full precision; {}, {}", target.model, target.scheduler), target,
      [&](std::size_t layer, std::size_t step) { return on_scale((score(layer, step) - least) / span); });
  // The scale, dark and low at the bottom.
  const double x = scene.width - map_right + 28, height = scene.height - map_top - map_bottom;
  constexpr int slices = 64;
  for (int i = 0; i < slices; ++i)
    scene.add(Box{.x = x,
                  .y = map_top + height * (slices - 1 - i) / slices,
                  .width = 16,
                  .height = height / slices + 0.5,
                  .fill = on_scale((i + 0.5) / slices)});
  const std::vector<double> marks = ticks(least, least + span, 5);
  for (const double mark : marks) {
    const double y = map_top + height * (1 - (mark - least) / span);
    scene.add(Curve{.points = {{x + 16, y}, {x + 20, y}}, .colour = ink});
    scene.add(Words{
        .x = x + 24, .y = y + 4, .text = tick_text(mark, marks.size() < 2 ? 0 : marks[1] - marks[0]), .colour = ink});
  }
  scene.add(Words{.x = x, .y = map_top - 10, .text = "score", .colour = ink});
  return scene;
}

Scene plan_map(const Plan& plan) {
  const PlanTarget& target = plan.made_for();
  Scene scene = map_of("Precision of every layer and step",
                       fmt::format("{}; {}, {}", shares_text(plan), target.model, target.scheduler), target,
                       [&](std::size_t layer, std::size_t step) { return colour_of(plan.rows()[step][layer]); });
  std::set<Precision> used;
  for (const PrecisionRow& row : plan.rows()) used.insert(row.begin(), row.end());
  double y = map_top;
  for (const Precision precision : used) {
    const double x = scene.width - map_right + 24;
    scene.add(Box{.x = x, .y = y, .width = 16, .height = 14, .fill = colour_of(precision)});
    scene.add(Words{.x = x + 24, .y = y + 11, .text = std::string(name_of(precision)), .colour = ink});
    y += 20;
  }
  return scene;
}

Scene pareto_chart(const Planner& planner, const PlannedTable& chosen) {
  const std::vector<ParetoPoint> front = planner.front();
  double most_error = chosen.error, most_seconds = chosen.seconds;
  std::vector<std::pair<Precision, PlannedTable>> alone;
  for (const Precision precision : planner.candidates()) {
    alone.emplace_back(precision, planner.uniform(precision));
    most_error = std::max(most_error, alone.back().second.error);
    most_seconds = std::max(most_seconds, alone.back().second.seconds);
  }
  const PlanTarget& target = target_of(chosen);
  Chart chart(fmt::format("Plans of {}, {} steps: error against time", target.model, target.steps()),
              {.label = "predicted seconds of attention in one denoising", .least = 0, .most = most_seconds * 1.05},
              {.label = "predicted error, mean of 1 - score", .least = 0, .most = most_error * 1.08});
  std::vector<Point> points(front.size());
  std::ranges::transform(front, points.begin(),
                         [](const ParetoPoint& point) { return Point{.x = point.seconds, .y = point.error}; });
  chart.curve(points, {.name = "Pareto front", .colour = {150, 150, 150}});
  for (const auto& [precision, table] : alone)
    chart.dot({table.seconds, table.error},
              {.name = fmt::format("all {}", name_of(precision)), .colour = colour_of(precision)}, 5);
  chart.dot({chosen.seconds, chosen.error}, {.name = "this plan", .colour = plan_colour}, 6);
  return chart.finish();
}

Scene error_over_steps(const Planner& planner, const PlannedTable& chosen) {
  const PlanTarget& target = target_of(chosen);
  std::vector<std::pair<Series, std::vector<Point>>> lines;
  double most = 0;
  const auto add = [&](Series series, const std::function<Precision(std::size_t, std::size_t)>& in) {
    std::vector<Point> points;
    for (std::size_t step = 0; step < target.steps(); ++step) {
      const double error = mean_over_layers(planner, step, [&](std::size_t layer) { return in(step, layer); });
      most = std::max(most, error);
      points.push_back({static_cast<double>(step), error});
    }
    lines.emplace_back(std::move(series), std::move(points));
  };
  for (const Precision precision : planner.candidates()) {
    if (precision == Precision::full) continue;  // the axis itself
    add({.name = fmt::format("all {}", name_of(precision)), .colour = colour_of(precision)},
        [precision](std::size_t, std::size_t) { return precision; });
  }
  add({.name = "this plan", .colour = plan_colour, .stroke = Stroke::dashed},
      [&](std::size_t step, std::size_t layer) { return chosen.plan.rows()[step][layer]; });
  Chart chart(fmt::format("Error over the steps of {}", target.model),
              {.label = "step", .least = 0, .most = static_cast<double>(target.steps() - 1)},
              {.label = "error, mean of 1 - score over layers", .least = 0, .most = most * 1.08});
  for (const auto& [series, points] : lines) chart.curve(points, series);
  return chart.finish();
}

}  // namespace bitreel
