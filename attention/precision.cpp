#include "attention/precision.h"

#include <algorithm>
#include <array>

namespace bitreel {
namespace {

struct Row {
  Precision precision;
  std::string_view name;
  int bits;
  Precision more_bits;
};

#define BITREEL_ROW(precision, name, bits, more) Row{Precision::precision, name, bits, Precision::more},
constexpr auto table = std::to_array({BITREEL_PRECISIONS(BITREEL_ROW)});
#undef BITREEL_ROW

constexpr auto precisions = [] {
  std::array<Precision, table.size()> all{};
  std::ranges::transform(table, all.begin(), &Row::precision);
  return all;
}();

const Row& row_of(Precision precision) {
  return *std::ranges::find(table, precision, &Row::precision);
}

}  // namespace

std::span<const Precision> all_precisions() {
  return precisions;
}

int bits_of(Precision precision) {
  return row_of(precision).bits;
}

Precision more_bits(Precision precision) {
  return row_of(precision).more_bits;
}

std::string_view name_of(Precision precision) {
  return row_of(precision).name;
}

std::optional<Precision> precision_from(std::string_view name) {
  const auto* found = std::ranges::find(table, name, &Row::name);
  if (found == table.end()) return std::nullopt;
  return found->precision;
}

}  // namespace bitreel
