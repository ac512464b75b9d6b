#include "app/commands/model_bench.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "app/assets.h"
#include "app/bench/model_bench.h"
#include "base/error.h"
#include "base/input_file.h"
#include "base/json_text.h"
#include "base/printable.h"
#include "base/readable_json.h"
#include "base/standard_streams.h"
#include "base/written_file.h"
#include "pipelines/model/device.h"

namespace bitreel {
namespace {

using nlohmann::ordered_json;

struct Command {
  Phase phase = Phase::denoise;
  std::string name;
  std::filesystem::path cases;
  std::string device = "cpu";
  std::filesystem::path output;
  std::filesystem::path show;
};

void show(const Command& command) {
  const std::string expected = "results of bitreel bench " + command.name;
  const auto results = parse_json_if_any<ordered_json>(read_file(command.show, {.expected = expected.c_str()}));
  try {
    print_output(printable_lines(model_table(results)));
  } catch (const nlohmann::json::exception& e) {
    throw Error(fmt::format("{} holds no {}: {}", command.show.string(), expected, e.what()));
  }
}

// Said as soon as it is known.
std::string line_of(const ordered_json& row) {
  const std::string what =
      fmt::format("{} {}", row.at("name").get<std::string>(), row.at("variant").get<std::string>());
  if (row.contains("error")) return fmt::format("{}: {}\n", what, row.at("error").get<std::string>());
  const double ms = row.at("ms"), floor_ms = row.at("floor_ms");
  std::string text = fmt::format("{}: {:.1f} ms, its floor is {:.0f} % of that\n", what, ms, 100 * floor_ms / ms);
  for (const auto& remark : row.at("remarks")) text += fmt::format("{}: {}\n", what, remark.get<std::string>());
  return text;
}

void run(Command command) {
  check_can_write(command.output);
  if (command.cases.empty()) command.cases = asset("configs/bench/" + command.name + ".yaml");
  ModelBench bench = read_model_bench(command.cases);
  bench.device = resolve_device(command.device == "cuda" ? DeviceChoice::cuda : DeviceChoice::cpu);
  const ordered_json results = run_model_bench(bench, command.phase, [&](const ordered_json& so_far) {
    // Every time: a run that is stopped leaves what it has.
    if (!command.output.empty()) write_whole(command.output, readable_json(so_far));
    const ordered_json& row = so_far["cases"].back();
    print_error(printable_lines(line_of(row)));
  });
  print_output(printable_lines(model_table(results)));
}

void add(CLI::App& bench, Phase phase, const std::string& name, const std::string& what) {
  auto state = std::make_shared<Command>();
  state->phase = phase;
  state->name = name;
  CLI::App* command = bench.add_subcommand(name, what);
  command
      ->add_option("cases", state->cases, fmt::format("YAML file of sizes and variants (configs/bench/{}.yaml)", name))
      ->type_name("FILE");
  command->add_option("--device", state->device, "cpu or cuda")->check(CLI::IsMember({"cpu", "cuda"}));
  command->add_option("--output,-o", state->output, "Write the results as JSON")->type_name("FILE");
  command->add_option("--show", state->show, "Print the table of a results file and stop")->type_name("FILE");
  command->callback([state] { state->show.empty() ? run(*state) : show(*state); });
}

}  // namespace

void add_model_benches(CLI::App& bench) {
  add(bench, Phase::denoise, "step",
      "A denoising step on random weights: time by kind of work beside what it must take");
  add(bench, Phase::decode, "vae", "Decoding on random weights, likewise");
}

}  // namespace bitreel
