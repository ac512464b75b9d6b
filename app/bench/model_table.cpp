// The benchmark's results for people.
#include <fmt/format.h>

#include <map>
#include <string>

#include "app/bench/model_bench.h"
#include "app/console.h"

namespace bitreel {
namespace {

using nlohmann::ordered_json;

std::string title_of(const ordered_json& row) {
  const auto& size = row.at("size");
  const auto count = size.at(2).get<std::int64_t>();
  const std::string frames = count == 0 ? "" : fmt::format("x{}", count);  // a picture has none
  const std::string layers =
      row.at("layers").is_null() ? "" : fmt::format(", {} layers", row.at("layers").get<std::int64_t>());
  return fmt::format("{} {}x{}{}{}, {}", row.at("name").get<std::string>(), size.at(0).get<std::int64_t>(),
                     size.at(1).get<std::int64_t>(), frames, layers, row.at("dtype").get<std::string>());
}

// Of a case beside the first of the same model, layers, dtype and variant: 1 when time follows the FLOP.
std::string per_flop_beside_first(const ordered_json& row, std::map<std::string, double>& firsts) {
  const double per_flop = row.at("ms").get<double>() / row.at("flop").get<double>();
  const std::string key =
      row.at("model").dump() + row.at("layers").dump() + row.at("dtype").dump() + row.at("variant").dump();
  return fmt::format("{:.2f}", per_flop / firsts.try_emplace(key, per_flop).first->second);
}

}  // namespace

std::string model_table(const ordered_json& results) {
  std::string text =
      "| case | variant | tokens | ms | TFLOP | TFLOP/s | floor ms | of floor | time per FLOP | memory |\n"
      "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n";
  std::map<std::string, double> firsts;
  for (const auto& row : results.at("cases")) {
    if (row.contains("error")) {
      text += fmt::format("| {} | {} | | out of memory | | | | | | |\n", row.at("name").get<std::string>(),
                          row.at("variant").get<std::string>());
      continue;
    }
    const double ms = row.at("ms"), flop = row.at("flop"), floor = row.at("floor_ms");
    const double device_bytes = row.at("peak_device_bytes");
    text += fmt::format("| {} | {} | {} | {:.1f} | {:.3g} | {:.3g} | {:.1f} | {:.0f} % | {} | {} |\n", title_of(row),
                        row.at("variant").get<std::string>(), row.at("tokens").get<std::int64_t>(), ms, flop * 1e-12,
                        flop / ms * 1e-9, floor, 100 * floor / ms, per_flop_beside_first(row, firsts),
                        bytes_text(device_bytes > 0 ? device_bytes : row.at("peak_host_bytes").get<double>()));
  }
  text += "\n| case | variant | work | ms | of all | floor ms | of floor |\n|---|---|---|---:|---:|---:|---:|\n";
  for (const auto& row : results.at("cases")) {
    if (row.contains("error")) continue;
    double rest = row.at("ms");
    const auto line = [&](const std::string& work, double ms, const std::string& floor, const std::string& share) {
      text += fmt::format("| {} | {} | {} | {:.2f} | {:.0f} % | {} | {} |\n", row.at("name").get<std::string>(),
                          row.at("variant").get<std::string>(), work, ms, 100 * ms / row.at("ms").get<double>(), floor,
                          share);
    };
    for (const auto& work : row.at("works")) {
      const double ms = work.at("ms"), floor = work.at("floor_ms");
      line(work.at("work"), ms, fmt::format("{:.2f}", floor), ms > 0 ? fmt::format("{:.0f} %", 100 * floor / ms) : "");
      rest -= ms;
    }
    line("everything else", rest, "", "");
  }
  text += fmt::format("\n{}, {}, LibTorch {}; medians of {} rounds. Roofline:", results.at("device").get<std::string>(),
                      results.contains("driver") ? fmt::format("driver {}", results.at("driver").get<std::string>())
                                                 : fmt::format("{} threads", results.at("threads").get<int>()),
                      results.at("libtorch").get<std::string>(), results.at("rounds").get<int>());
  for (const auto& [dtype, rates] : results.at("roofline").items()) {
    text += fmt::format(" {} {:.4g} TFLOP/s (matrix product), {:.4g} GB/s (copy);", dtype,
                        rates.at("tflops").get<double>(), rates.at("gb_per_second").get<double>());
  }
  text.back() = '.';
  return text + "\n";
}

}  // namespace bitreel
