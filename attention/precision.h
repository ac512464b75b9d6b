// The precisions that one attention call can run in. A precision plan is a table of them, layer x step.
//
//   precision_from("sage2-4b") -> Precision::sage2_4b;  level_of(Precision::sage2_4b) -> Level::four_bit
//
// What each of them computes, field by field, is in attention/recipe.h.
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace bitreel {

// full: the model's own dtype through LibTorch's scaled_dot_product_attention.
// int8, int4: this project's recipes, made for fast integer kernels.
// sage1_*: the four kernels of SageAttention, arXiv 2410.02367, table 6. sage2_*: the two of SageAttention2,
// 2411.10958.
enum class Precision { full, int8, int4, sage1_t, sage1_b, sage1_vt, sage1_vb, sage2_8b, sage2_4b };

// In how many bits q k^T is computed; what a plan trades against error.
enum class Level { four_bit, eight_bit, full };

// All of them, full first, then from more to fewer bits within a family.
std::span<const Precision> all_precisions();
Level level_of(Precision precision);

// The name used on the command line, in plans and in sidecars: "sage1-vb".
std::string_view name_of(Precision precision);
std::optional<Precision> precision_from(std::string_view name);

}  // namespace bitreel
