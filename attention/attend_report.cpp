#include "attention/attend_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "attention/recipes.h"

namespace bitreel {

AttendReport::AttendReport(std::function<void(const std::string& message)> on_fallback)
    : on_fallback_(std::move(on_fallback)) {}

void AttendReport::add(const Row& call) {
  const auto known = std::ranges::find_if(rows_, [&](const Row& row) {
    return row.precision == call.precision && row.recipe == call.recipe && row.backend == call.backend &&
           row.fallback == call.fallback;
  });
  last_[call.precision] = static_cast<std::size_t>(known - rows_.begin());
  if (known != rows_.end()) {
    ++known->calls;
    return;
  }
  rows_.push_back(call);
  rows_.back().calls = 1;
  if (call.fallback.empty() || !on_fallback_) return;
  on_fallback_(fmt::format("attention {}: no kernel runs it ({}); the slow backend {} does",
                           call.recipe ? text_of(*call.recipe) : std::string(name_of(call.precision)), call.fallback,
                           call.backend));
}

void AttendReport::repeat(Precision precision) {
  ++rows_.at(last_.at(precision)).calls;
}

}  // namespace bitreel
