#include "attention/recipes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "base/error.h"
#include "base/nearest.h"

namespace bitreel {
namespace {

struct Preset {
  std::optional<c10::DeviceType> device;  // the same on every device when absent
  Recipe recipe;
};

// What GPU kernels do fastest: integers for q k^T, e4m3 for P V, with a row of ones that sums P. Queries keep their
// means, whose term of the logits would cost 4 bits what they gain; sage2-4b takes them off.
constexpr Recipe on_cuda(Precision precision, QkFormat qk) {
  return {.precision = precision,
          .qk = qk,
          .q_scales = Granularity::token,
          .k_scales = Granularity::warpgroup,
          .k_mean = KeyMean::sampled,
          .v_scale = ValueScale::sampled,
          .v_mean = ValueMean::exact,
          .pv = PvFormat::fp8_ones_row,
          .exponential = Exponential::exact,
          .maximum = Maximum::running,
          .key_block = 128};
}

// One row for each precision and each device on which it has a recipe of its own.
constexpr auto presets = std::to_array<Preset>({
    {c10::kCPU, {.precision = Precision::int8, .smooth_v = Smoothing::on}},
    {c10::kCPU,
     {.precision = Precision::int4, .qk = QkFormat::int4, .smooth_q = Smoothing::on, .smooth_v = Smoothing::on}},
    {c10::kCUDA, on_cuda(Precision::int8, QkFormat::int8)},
    {c10::kCUDA, on_cuda(Precision::int4, QkFormat::int4)},
    {{},
     {.precision = Precision::sage1_t,
      .q_scales = Granularity::token,
      .k_scales = Granularity::token,
      .pv = PvFormat::fp16_fp16_sum,
      .exponential = Exponential::exact,
      .maximum = Maximum::running,
      .key_block = 64}},
    {{},
     {.precision = Precision::sage1_b,
      .q_scales = Granularity::block,
      .k_scales = Granularity::block,
      .pv = PvFormat::fp16_fp16_sum,
      .exponential = Exponential::exact,
      .maximum = Maximum::running,
      .key_block = 64}},
    {{},
     {.precision = Precision::sage1_vt,
      .q_scales = Granularity::token,
      .k_scales = Granularity::token,
      .p_levels = 127,
      .exponential = Exponential::exact,
      .maximum = Maximum::running,
      .key_block = 64}},
    {{},
     {.precision = Precision::sage1_vb,
      .q_scales = Granularity::block,
      .k_scales = Granularity::block,
      .p_levels = 127,
      .exponential = Exponential::exact,
      .maximum = Maximum::running,
      .key_block = 64}},
    {{},
     {.precision = Precision::sage2_8b,
      .q_scales = Granularity::thread,
      .k_scales = Granularity::thread,
      .pv = PvFormat::fp8_two_level,
      .exponential = Exponential::exact,
      .maximum = Maximum::running,
      .key_block = 64}},
    {{},
     {.precision = Precision::sage2_4b,
      .qk = QkFormat::int4,
      .q_scales = Granularity::thread,
      .k_scales = Granularity::thread,
      .smooth_q = Smoothing::on,
      .pv = PvFormat::fp8_two_level,
      .exponential = Exponential::exact,
      .maximum = Maximum::running,
      .key_block = 64}},
});

// A field as text. Values of an enumeration are in its order.
struct Field {
  std::string_view name;
  std::vector<std::string> values;
  std::string (*get)(const Field& field, const Recipe& recipe);
  void (*set)(const Field& field, Recipe& recipe, std::size_t value);
};

template <auto member>
Field field(std::string_view name, std::vector<std::string> values) {
  using Value = std::remove_reference_t<decltype(std::declval<Recipe&>().*member)>;
  if constexpr (std::is_enum_v<Value>) {
    return {
        name, std::move(values),
        [](const Field& self, const Recipe& recipe) { return self.values[static_cast<std::size_t>(recipe.*member)]; },
        [](const Field&, Recipe& recipe, std::size_t value) { recipe.*member = static_cast<Value>(value); }};
  } else {
    return {
        name, std::move(values), [](const Field&, const Recipe& recipe) { return std::to_string(recipe.*member); },
        [](const Field& self, Recipe& recipe, std::size_t value) { recipe.*member = std::stoi(self.values[value]); }};
  }
}

const std::vector<Field>& fields() {
  static const std::vector<std::string> granularities = {"block", "warp", "thread", "token", "strip", "warpgroup"};
  static const std::vector<std::string> switches = {"off", "on"};
  static const std::vector<Field> all = {
      field<&Recipe::qk>("qk", {"int8", "int4"}),
      field<&Recipe::q_scales>("q-scales", granularities),
      field<&Recipe::k_scales>("k-scales", granularities),
      field<&Recipe::channel_group>("channel-group", {"0", "16", "32"}),
      field<&Recipe::smooth_q>("smooth-q", switches),
      field<&Recipe::smooth_k>("smooth-k", switches),
      field<&Recipe::smooth_v>("smooth-v", switches),
      field<&Recipe::k_mean>("k-mean", {"all", "sampled"}),
      field<&Recipe::v_scale>("v-scale", {"all", "sampled"}),
      field<&Recipe::v_mean>("v-mean", {"subtracted", "exact"}),
      field<&Recipe::pv>("pv", {"int8", "fp16", "fp16-fp16-sum", "fp8-two-level", "fp8-ones-row"}),
      field<&Recipe::p_levels>("p-levels", {"127", "255"}),
      field<&Recipe::exponential>("exponential", {"exact", "table"}),
      field<&Recipe::maximum>("maximum", {"running", "block"}),
      field<&Recipe::key_block>("key-block", {"64", "128", "256"}),
  };
  return all;
}

constexpr std::string_view both_scales = "scales";

std::string did_you_mean(std::string_view wanted, const std::vector<std::string>& known) {
  const std::string close = nearest(wanted, known);
  return close.empty() ? fmt::format("it is one of {}", fmt::join(known, ", "))
                       : fmt::format("did you mean {}?", close);
}

const Preset* find_preset(Precision precision, c10::DeviceType device) {
  const auto* const found = std::ranges::find_if(presets, [&](const Preset& preset) {
    return preset.recipe.precision == precision && preset.device.value_or(device) == device;
  });
  return found == presets.end() ? nullptr : found;
}

std::string name_of(const Preset& preset) {
  const std::string name(name_of(preset.recipe.precision));
  return preset.device ? fmt::format("{}@{}", name, c10::DeviceTypeName(*preset.device, /*lower_case=*/true)) : name;
}

// "int8" is the precision's recipe on `device`, "int8@cuda" a GPU's on any.
const Recipe& preset_from(std::string_view name, c10::DeviceType device, std::string_view text) {
  const std::optional<Precision> precision = precision_from(name);
  if (precision && *precision != Precision::full) return recipe_of(*precision, device);
  const auto* const found =
      std::ranges::find_if(presets, [&](const Preset& preset) { return name_of(preset) == name; });
  if (found != presets.end()) return found->recipe;
  std::vector<std::string> names;
  for (const Precision known : all_precisions()) {
    if (known != Precision::full) names.emplace_back(name_of(known));
  }
  for (const Preset& preset : presets) {
    if (preset.device) names.push_back(name_of(preset));
  }
  throw UsageError(fmt::format("recipe \"{}\": {}", text,
                               precision ? "full precision has none" : fmt::format("there is no preset \"{}\"", name)),
                   did_you_mean(name, names));
}

void assign(Recipe& recipe, std::string_view name, std::string_view value, std::string_view text) {
  if (name == both_scales) {
    assign(recipe, "q-scales", value, text);
    assign(recipe, "k-scales", value, text);
    return;
  }
  const auto found = std::ranges::find(fields(), name, &Field::name);
  if (found == fields().end()) {
    std::vector<std::string> names = {std::string(both_scales)};
    for (const Field& known : fields()) names.emplace_back(known.name);
    throw UsageError(fmt::format("recipe \"{}\": there is no field \"{}\"", text, name), did_you_mean(name, names));
  }
  const auto index = std::ranges::find(found->values, value);
  if (index == found->values.end()) {
    throw UsageError(fmt::format("recipe \"{}\": {} is \"{}\"", text, name, value), did_you_mean(value, found->values));
  }
  found->set(*found, recipe, static_cast<std::size_t>(index - found->values.begin()));
}

}  // namespace

void check(const Recipe& recipe) {
  for (const Field& known : fields()) {
    const std::string value = known.get(known, recipe);
    if (std::ranges::find(known.values, value) == known.values.end()) {
      throw UsageError(
          fmt::format("recipe: {} is {}, expected one of {}", known.name, value, fmt::join(known.values, ", ")));
    }
  }
  if (recipe.exponential == Exponential::table && recipe.pv != PvFormat::int8) {
    throw UsageError("recipe: exponential=table makes bytes, for pv=int8 only", "add +exponential=exact");
  }
}

const Recipe& recipe_of(Precision precision, c10::DeviceType device) {
  const Preset* const found = find_preset(precision, device);
  if (found == nullptr) {
    throw Error(fmt::format("{} precision has no recipe on {}", name_of(precision),
                            c10::DeviceTypeName(device, /*lower_case=*/true)));
  }
  return found->recipe;
}

Recipe recipe_from(std::string_view text, c10::DeviceType device) {
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0, end = 0; end != std::string_view::npos; begin = end + 1) {
    end = text.find('+', begin);
    parts.push_back(text.substr(begin, end - begin));
  }
  Recipe recipe = preset_from(parts.front(), device, text);
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const std::size_t equals = parts[i].find('=');
    const bool bare = equals == std::string_view::npos;
    assign(recipe, parts[i].substr(0, equals), bare ? "on" : parts[i].substr(equals + 1), text);
  }
  check(recipe);
  return recipe;
}

std::string text_of(const Recipe& recipe) {
  std::string closest;
  std::size_t fewest = fields().size() + 1;
  for (const Preset& preset : presets) {
    if (preset.recipe.precision != recipe.precision) continue;
    std::string text = name_of(preset);
    std::size_t changes = 0;
    for (const Field& known : fields()) {
      const std::string value = known.get(known, recipe);
      if (value == known.get(known, preset.recipe)) continue;
      text += value == "on" ? fmt::format("+{}", known.name) : fmt::format("+{}={}", known.name, value);
      ++changes;
    }
    if (changes >= fewest) continue;
    fewest = changes;
    closest = text;
  }
  return closest;
}

std::string summary_of(const Recipe& recipe) {
  std::string text;
  for (const Field& known : fields()) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", known.name, known.get(known, recipe));
  }
  return text;
}

}  // namespace bitreel
