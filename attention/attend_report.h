// What attention calls ran on: which backend and recipe kept which precision, and why where no kernel could.
//
//   AttendReport report([&](const std::string& message) { console.warn(message); });
//   attend(q, k, v, {.precision = Precision::int8, .report = &report});
//   const std::string& backend = report.rows().front().backend;   // "cpu-amx", for int8 in its recipe, once
//
// One for each run whose record it goes into; one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "attention/recipe.h"

namespace bitreel {

class AttendReport {
 public:
  struct Row {
    Precision precision = Precision::full;
    std::optional<Recipe> recipe = {};  // none: full precision
    std::string backend = {};
    std::string fallback = {};  // why the slow oracle ran: no kernel can. Empty when a kernel ran, or who was named
    std::int64_t calls = 0;
  };

  // on_fallback: called with a sentence for people, once for each row with a fallback.
  explicit AttendReport(std::function<void(const std::string& message)> on_fallback = {});

  // Counts a call: one more of a row that is there already but for its calls, or a new row. attend() does it.
  void add(const Row& call);
  // Counts another call in this precision on what the last one in it ran on: its kernels have been played again.
  void repeat(Precision precision);
  // In the order in which they first came.
  [[nodiscard]] const std::vector<Row>& rows() const { return rows_; }

 private:
  std::function<void(const std::string& message)> on_fallback_;
  std::vector<Row> rows_;
  std::map<Precision, std::size_t> last_;  // in rows_
};

}  // namespace bitreel
