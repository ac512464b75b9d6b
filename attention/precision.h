// The precisions that one attention call can run in. A precision plan is a table of them, layer x step.
//
//   const Precision precision = precision_from("sage2-4b").value();
//   bits_of(precision);    // 4
//   more_bits(precision);  // sage2_8b
//
// A precision is a promise of bits. How a device keeps it, field by field, is its recipe there: attention/recipe.h.
// A new one is a row of the table in precision.cpp and a recipe.
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace bitreel {

// full: the model's own dtype, by the backend that is best at it.
// int8, int4: this project's recipes, made for each device's fast kernels.
// sage1_*: the four kernels of SageAttention, arXiv 2410.02367, table 6. sage2_*: the two of SageAttention2,
// 2411.10958.
enum class Precision { full, int8, int4, sage1_t, sage1_b, sage1_vt, sage1_vb, sage2_8b, sage2_4b };

// All of them, full first, then from more to fewer bits within a family.
std::span<const Precision> all_precisions();

// In how many bits q k^T is computed, which is what a plan trades against error: 4, 8, or full_bits.
int bits_of(Precision precision);
inline constexpr int full_bits = 32;  // whatever the model's dtype is

// Where a layer goes whose error is too large: int4 to int8, sage2-4b to sage2-8b, 8 bits to full; full stays.
Precision more_bits(Precision precision);

// The name used on the command line, in plans and in sidecars: "sage1-vb".
std::string_view name_of(Precision precision);
std::optional<Precision> precision_from(std::string_view name);

}  // namespace bitreel
