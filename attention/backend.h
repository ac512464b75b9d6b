// The implementations of attention, one table: what `bitreel info attention` prints and what attend() picks from.
//
//   for (const Backend& backend : backends()) ...              // in order of preference
//   const Backend& chosen = choose_backend(call, "cpu-avx2");  // by name; the first that can when the name is empty
//
// An implementation gets a checked call and either refuses it, saying why, or does all that it asks.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "attention/recipe.h"

namespace bitreel {

// none, or each query sees the keys up to its own place, the last query aligned with the last key (as FlashAttention).
enum class Causality { none, bottom_right };

// One attention call, checked: shapes fit, heads divide, one dtype and device.
struct AttendCall {
  at::Tensor q, k, v;                 // [B, Hq, Nq, D], [B, Hkv, Nkv, D] twice; any strides, the last 1
  std::optional<Recipe> recipe = {};  // none: full precision
  double scale = 1;                   // of the logits
  Causality causality = Causality::none;
  at::Tensor key_mask = {};     // [B, Nkv] bool, true for keys that count; undefined when all do
  at::Tensor bias = {};         // added to the logits, broadcast to [B, Hq, Nq, Nkv]; undefined when none
  at::Tensor out = {};          // [B, Hq, Nq, D] in q's dtype, any strides, the last 1: to be filled
  at::Tensor log_sum_exp = {};  // [B, Hq, Nq] fp32 to be filled (natural logarithm), or undefined
};

// The calls that a backend is for: those with or without a recipe.
enum class Arithmetic { full, quantized };

// kernel: meant for work. oracle: slow, says what is right.
enum class Role { kernel, oracle };

struct Backend {
  std::string_view name;
  Arithmetic arithmetic;
  Role role;
  std::string_view summary;                   // one line for the table
  std::string (*missing)();                   // what this machine lacks for it; empty when it has all
  std::string (*refuses)(const AttendCall&);  // why it can't do this call (device, shape, recipe); empty when it can
  void (*run)(const AttendCall&);
};

// In order of preference.
std::span<const Backend> backends();
// Throws UsageError naming the nearest when there is no such backend.
const Backend& backend_named(std::string_view name);

// The one that runs the call: `wanted` by name when that is for calls of this arithmetic, likewise the environment
// variable BITREEL_ATTENTION_BACKEND when `wanted` is empty, or else the first that can.
// Throws Error when the named one can't, with its reason, or when none can, with everybody's.
const Backend& choose_backend(const AttendCall& call, std::string_view wanted = {});

}  // namespace bitreel
