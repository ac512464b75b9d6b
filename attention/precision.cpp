#include "attention/precision.h"

#include <algorithm>
#include <array>

namespace bitreel {
namespace {

struct Named {
  Precision precision;
  std::string_view name;
  Level level;
};

constexpr std::array<Named, 9> known = {{
    {Precision::full, "full", Level::full},
    {Precision::int8, "int8", Level::eight_bit},
    {Precision::int4, "int4", Level::four_bit},
    {Precision::sage1_t, "sage1-t", Level::eight_bit},
    {Precision::sage1_b, "sage1-b", Level::eight_bit},
    {Precision::sage1_vt, "sage1-vt", Level::eight_bit},
    {Precision::sage1_vb, "sage1-vb", Level::eight_bit},
    {Precision::sage2_8b, "sage2-8b", Level::eight_bit},
    {Precision::sage2_4b, "sage2-4b", Level::four_bit},
}};

constexpr auto precisions = [] {
  std::array<Precision, known.size()> all{};
  std::ranges::transform(known, all.begin(), &Named::precision);
  return all;
}();

const Named& entry(Precision precision) {
  return *std::ranges::find(known, precision, &Named::precision);
}

}  // namespace

std::span<const Precision> all_precisions() {
  return precisions;
}

Level level_of(Precision precision) {
  return entry(precision).level;
}

std::string_view name_of(Precision precision) {
  return entry(precision).name;
}

std::optional<Precision> precision_from(std::string_view name) {
  const auto* found = std::ranges::find(known, name, &Named::name);
  if (found == known.end()) return std::nullopt;
  return found->precision;
}

}  // namespace bitreel
