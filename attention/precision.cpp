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

constexpr std::array<Row, 9> table = {{
    {Precision::full, "full", full_bits, Precision::full},
    {Precision::int8, "int8", 8, Precision::full},
    {Precision::int4, "int4", 4, Precision::int8},
    {Precision::sage1_t, "sage1-t", 8, Precision::full},
    {Precision::sage1_b, "sage1-b", 8, Precision::full},
    {Precision::sage1_vt, "sage1-vt", 8, Precision::full},
    {Precision::sage1_vb, "sage1-vb", 8, Precision::full},
    {Precision::sage2_8b, "sage2-8b", 8, Precision::full},
    {Precision::sage2_4b, "sage2-4b", 4, Precision::sage2_8b},
}};

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
