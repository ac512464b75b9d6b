// A precision's own recipe on each device, and recipes by name for studies.
//
//   const Recipe& own = recipe_of(Precision::int8, at::kCUDA);
//   const Recipe recipe = recipe_from("sage2-8b+pv=fp8-ones-row+smooth-v", at::kCPU);
//   const Recipe elsewhere = recipe_from("int8@cuda+smooth-v", at::kCPU);   // a GPU's recipe, for the oracle on a CPU
//
// A precision promises bits, not the same recipe everywhere: CPUs multiply 8-bit integers in both products, GPUs have
// fp8 for the second. The recipes of papers are theirs on every device. A new recipe is a row of the table in
// recipes.cpp.
#pragma once

#include <c10/core/DeviceType.h>

#include <string>
#include <string_view>

#include "attention/recipe.h"

namespace bitreel {

// Throws UsageError where fields contradict each other or a number is none of those that kernels are made for.
void check(const Recipe& recipe);

// A precision's own recipe on such a device. Throws Error for Precision::full, which quantizes nothing, and for devices
// that have no recipe.
const Recipe& recipe_of(Precision precision, c10::DeviceType device);

// "PRECISION", "PRECISION@DEVICE" or either with "+FIELD+FIELD=VALUE...": the precision's recipe on `device`, or on the
// one that is named, with fields changed. Fields are as in the struct with - for _; "smooth-v" alone switches it on,
// and "scales" sets both granularities.
// Throws UsageError naming the field or value that is unknown, and the nearest.
Recipe recipe_from(std::string_view text, c10::DeviceType device);

// What recipe_from reads back on any device: the closest recipe of its precision and the fields that differ from it.
std::string text_of(const Recipe& recipe);

// Every field with its value, for people.
std::string summary_of(const Recipe& recipe);

}  // namespace bitreel
