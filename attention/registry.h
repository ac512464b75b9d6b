// The implementations of attention, one table: what `bitreel info attention` prints and what attend() picks from.
//
//   for (const Backend& backend : backends()) fmt::print("{}: {}\n", backend.name, backend.missing(at::kCPU));
//   const Chosen chosen = choose_backend(call, "cpu-scalar");        // by name; the best that can when it is empty
//   chosen.backend.run(call);
//   const BackendNames names = backends_from("reference,emulated");  // one for each arithmetic
//
// A new backend is one line in backends.h; backend.h says what it has to be.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "attention/backend.h"

namespace bitreel {

std::span<const Backend> backends();
// Throws UsageError naming the nearest when there is no such backend.
const Backend& backend_named(std::string_view name);

// Why a backend can't run a call here and now; empty when it can.
std::string obstacle(const Backend& backend, const AttendCall& call);

struct Chosen {
  const Backend& backend;
  std::string fallback;  // why no kernel does it, where an oracle was not asked for but chosen; else empty
};

// The one that runs the call: `wanted` by name, or the one that is preferred of those that can.
// Throws UsageError when the named one is unknown or for the other arithmetic, saying which apply, and Error when it
// can't do the call, with its reason, or when none can, with everybody's.
Chosen choose_backend(const AttendCall& call, std::string_view wanted = {});

// Whom a person wants to attend, by arithmetic; the best where empty.
struct BackendNames {
  std::string full, quantized;
  std::string named_by;  // "`attention_backend`": for errors

  [[nodiscard]] const std::string& of(Precision precision) const;
  // Throws UsageError when one is named for calls that a run in these precisions has none of, saying which apply.
  void check_used_by(std::span<const Precision> precisions) const;
};

// From one name, or one for each arithmetic with a comma between them. Of an empty text: what the environment variable
// BITREEL_ATTENTION_BACKEND says, if it is set.
// Throws UsageError, beginning with who named it, for a name that is unknown and for two of one arithmetic.
BackendNames backends_from(std::string_view text, std::string_view named_by = "`attention_backend`");

}  // namespace bitreel
