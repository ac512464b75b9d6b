// The precisions that one attention call can run in. A precision plan is a table of them, layer x step.
//
//   const Precision precision = precision_from("sage2-4b").value();
//   bits_of(precision);    // 4
//   more_bits(precision);  // sage2_8b
//
// A precision is a promise of bits. How a device keeps it, field by field, is its recipe there: attention/recipe.h.
// A new one is a line of the list below and its recipes (recipes.cpp).
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace bitreel {

inline constexpr int full_bits = 32;  // whatever the model's dtype is

// Each with its name, bits_of and more_bits; full first, then from more to fewer bits within a family.
// full: the model's own dtype, by the backend that is best at it.
// int8, int4: this project's recipes, made for each device's fast kernels.
// sage1_*: the four kernels of SageAttention, arXiv 2410.02367, table 6. sage2_*: the two of SageAttention2,
// 2411.10958.
// clang-format off
#define BITREEL_PRECISIONS(row)      \
  row(full, "full", full_bits, full) \
  row(int8, "int8", 8, full)         \
  row(int4, "int4", 4, int8)         \
  row(sage1_t, "sage1-t", 8, full)   \
  row(sage1_b, "sage1-b", 8, full)   \
  row(sage1_vt, "sage1-vt", 8, full) \
  row(sage1_vb, "sage1-vb", 8, full) \
  row(sage2_8b, "sage2-8b", 8, full) \
  row(sage2_4b, "sage2-4b", 4, sage2_8b)
// clang-format on

#define BITREEL_ENUMERATOR(precision, name, bits, more) precision,
enum class Precision { BITREEL_PRECISIONS(BITREEL_ENUMERATOR) };
#undef BITREEL_ENUMERATOR

// All of them, in the order of the list.
std::span<const Precision> all_precisions();

// In how many bits q k^T is computed, which is what a plan trades against error: 4, 8, or full_bits.
int bits_of(Precision precision);

// Where a layer goes whose error is too large: int4 to int8, sage2-4b to sage2-8b, 8 bits to full; full stays.
Precision more_bits(Precision precision);

// The name used on the command line, in plans and in sidecars: "sage1-vb".
std::string_view name_of(Precision precision);
std::optional<Precision> precision_from(std::string_view name);

}  // namespace bitreel
