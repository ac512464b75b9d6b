// What an implementation of attention is: the call it gets, and what it says of itself.
//
//   const Backend& cpu_flash = backend_named("cpu-flash");
//   if (cpu_flash.missing(at::kCPU).empty() && cpu_flash.refuses(call).empty()) cpu_flash.run(call);
//
// To add one: a file or folder that makes a span of them, and one line in backends.h. attend(), `bitreel info
// attention`, `bitreel bench attention` and the tests of tests/attention/ then know it. All questions are asked at each
// call, never when the table is made: a GPU's library may be loaded later.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <string_view>

#include "attention/head_norms.h"
#include "attention/recipe.h"

namespace bitreel {

// none, or each query sees the keys up to its own index, the last query aligned with the last key (as FlashAttention).
enum class Causality { none, bottom_right };

// One attention call, checked: shapes fit, heads divide, one dtype and device.
struct AttendCall {
  at::Tensor q, k, v;                 // [B, Hq, Nq, D], [B, Hkv, Nkv, D] twice; any strides, the last 1
  std::optional<Recipe> recipe = {};  // none: full precision
  double scale = 1;                   // of the logits
  Causality causality = Causality::none;
  at::Tensor key_mask = {};                // [B, Nkv] bool, true for keys that count; undefined when all do
  at::Tensor bias = {};                    // added to the logits, broadcast to [B, Hq, Nq, Nkv]; undefined when none
  at::Tensor out = {};                     // [B, Hq, Nq, D] in q's dtype, any strides, the last 1: to be filled
  at::Tensor log_sum_exp = {};             // [B, Hq, Nq] fp32 to be filled (natural logarithm), or undefined
  std::optional<HeadNorms> norms = {};     // still to be done to q and k; only where the backend takes them
  double* quantization_seconds = nullptr;  // set to the time that quantizing took, when not null; CPU kernels only
};

// The calls that a backend is for: those with or without a recipe.
enum class Arithmetic { full, quantized };

// kernel: meant for work. oracle: slow, says what is right.
enum class Role { kernel, oracle };

struct Backend {
  std::string_view name;
  Arithmetic arithmetic;
  Role role;
  std::string_view summary;  // one line for the table
  // What this machine lacks to run it on such a device, as it stands now; empty when nothing.
  std::string (*missing)(c10::DeviceType device);
  // Why it can't do this call (shape, dtype, recipe); empty when it can. What is merely slower is for `preference`.
  std::string (*refuses)(const AttendCall&);
  void (*run)(const AttendCall&);
  // Whether run() would do the norms of a call that has them and that it could do without. Null: never.
  bool (*takes_norms)(const AttendCall&) = nullptr;
  // Among kernels that can do a call, the highest goes first, then the earlier in the table. 0 when there is none.
  int (*preference)(const AttendCall&) = nullptr;
  // 1e12 multiplications and additions a second that the instruction it multiplies with reaches on this machine, on
  // registers alone and with all threads: its roofline. Measured; 0 when it can't be, none when nobody knows.
  double (*peak_tops)() = nullptr;
  // The quantization pass alone, for a benchmark to time where attend() can't say what it took; null where it can.
  void (*quantize)(const AttendCall&) = nullptr;
  // Which kernel of a library that has several would run the call: "cuDNN". Null where there is one.
  std::string_view (*kernel)(const AttendCall&) = nullptr;
};

}  // namespace bitreel
