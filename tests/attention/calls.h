// Attention calls as the tests make them: seeded inputs of any shape, and outputs that show what was written where.
//
//   const Inputs in = random_inputs({.queries = 129, .keys = 63}, /*seed=*/1, at::kBFloat16);
//   const Answer truth = run(backend_named("reference"), in, {});
//   for (const Backend* backend : those_that_can(call_of(in, {.recipe = recipe}))) ...run(*backend, in, {...})
//
// BITREEL_TEST_DEVICE=cuda puts the inputs on a GPU; without one the tests skip. Those of cpu_inputs() stay on the CPU.
#pragma once

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "attention/recipes.h"
#include "attention/registry.h"

namespace bitreel {

struct Shape {
  std::int64_t batch = 1, query_heads = 1, key_heads = 1, queries = 64, keys = 64, dim = 64;
};
std::ostream& operator<<(std::ostream& out, const Shape& shape);

struct Inputs {
  at::Tensor q, k, v;
};

at::Device test_device();
Inputs on_test_device(const Inputs& in);

// Normal numbers, the same on every machine.
at::Tensor normal(at::IntArrayRef sizes, std::uint64_t seed);
Inputs random_inputs(const Shape& shape, std::uint64_t seed, at::ScalarType dtype = at::kFloat);
// The same for tests that are about the CPU's kernels, on a GPU machine too.
Inputs cpu_inputs(const Shape& shape, std::uint64_t seed, at::ScalarType dtype = at::kFloat);

// What a call asks beyond q, k and v. `seen_keys`: each key counts with this probability, 1 for no mask.
struct Asked {
  std::optional<Recipe> recipe = {};
  std::optional<double> scale = {};  // 1 / sqrt(D) when absent
  Causality causality = Causality::none;
  at::Tensor key_mask = {};
  at::Tensor bias = {};
};

struct Answer {
  at::Tensor out, log_sum_exp;
};

// What outputs hold before: NaN shows what was added to or left, a number what should have become NaN.
enum class Poison { nan, number };

AttendCall call_of(const Inputs& in, const Asked& asked, Poison poison = Poison::nan);

// Runs the call into views of larger buffers; fails the test when anything around them or any input changes.
Answer run(const Backend& backend, const Inputs& in, const Asked& asked, Poison poison = Poison::nan);

// Of backends(), those that this machine can run the call on.
std::vector<const Backend*> those_that_can(const AttendCall& call);

// Every preset, and the variants of each field.
const std::vector<std::string>& recipe_texts();

// Keys that count with this probability, of each batch at least one.
at::Tensor random_mask(const Inputs& in, double probability, std::uint64_t seed);

// Whether a kernel did the oracle's arithmetic, as tolerances.h allows; says what differs.
testing::AssertionResult same_arithmetic(const Backend& backend, const Inputs& in, const Answer& oracle,
                                         const Answer& kernel);

// The largest difference, -infinity equal to itself; NaN if one of them is.
double largest_difference(const at::Tensor& a, const at::Tensor& b);

}  // namespace bitreel
