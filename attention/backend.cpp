#include "attention/backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "attention/cpu/cpu_backend.h"
#include "attention/cpu/flash_backend.h"
#include "attention/emulated.h"
#include "attention/reference.h"
#include "attention/sdpa.h"
#include "base/error.h"
#include "base/nearest.h"

namespace bitreel {
namespace {

// Kernels before oracles: the first that can is the one that runs.
std::vector<Backend> all_backends() {
  std::vector<Backend> all = {flash_backend(), sdpa_backend()};
  all.insert(all.end(), cpu_backends().begin(), cpu_backends().end());
  all.push_back(reference_backend());
  all.push_back(emulated_backend());
  return all;
}

Arithmetic arithmetic_of(const AttendCall& call) {
  return call.recipe ? Arithmetic::quantized : Arithmetic::full;
}

// Why it can't run the call here; empty when it can.
std::string obstacle(const Backend& backend, const AttendCall& call) {
  const std::string missing = backend.missing();
  return missing.empty() ? backend.refuses(call) : missing;
}

}  // namespace

std::span<const Backend> backends() {
  static const std::vector<Backend> all = all_backends();
  return all;
}

const Backend& backend_named(std::string_view name) {
  const auto found = std::ranges::find(backends(), name, &Backend::name);
  if (found != backends().end()) return *found;
  std::vector<std::string> names;
  for (const Backend& backend : backends()) names.emplace_back(backend.name);
  const std::string close = nearest(std::string(name), names);
  throw UsageError(fmt::format("there is no attention backend \"{}\"{}", name,
                               close.empty() ? "" : fmt::format("; did you mean {}?", close)),
                   "bitreel info attention lists them");
}

const Backend& choose_backend(const AttendCall& call, std::string_view wanted) {
  const char* const from_environment = std::getenv("BITREEL_ATTENTION_BACKEND");
  if (wanted.empty() && from_environment != nullptr) wanted = from_environment;
  if (!wanted.empty()) {
    const Backend& named = backend_named(wanted);
    if (named.arithmetic == arithmetic_of(call)) {
      const std::string reason = obstacle(named, call);
      if (!reason.empty()) throw Error(fmt::format("attention backend {} can't do this call: {}", wanted, reason));
      return named;
    }
  }
  std::string reasons;
  for (const Backend& backend : backends()) {
    if (backend.arithmetic != arithmetic_of(call)) continue;
    const std::string reason = obstacle(backend, call);
    if (reason.empty()) return backend;
    reasons += fmt::format("\n  {}: {}", backend.name, reason);
  }
  throw Error(fmt::format("no attention backend can do this call:{}", reasons));
}

}  // namespace bitreel
