// The precisions that one attention call can run in. A precision plan is a table of them, layer x step.
#pragma once

#include <optional>
#include <string_view>

namespace bitreel {

// full: the model's own dtype through LibTorch's scaled_dot_product_attention.
enum class Precision { full };

// The name used on the command line, in plans and in sidecars.
std::string_view name_of(Precision precision);
std::optional<Precision> precision_from(std::string_view name);

}  // namespace bitreel
