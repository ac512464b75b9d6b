#include "attention/registry.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <tuple>
#include <vector>

#include "attention/backends.h"
#include "base/error.h"
#include "base/nearest.h"

namespace bitreel {
namespace {

std::vector<Backend> make_table() {
  std::vector<Backend> table;
#define BITREEL_ADD(backends) table.insert(table.end(), backends().begin(), backends().end());
  BITREEL_ATTENTION_BACKENDS(BITREEL_ADD)
#undef BITREEL_ADD
  return table;
}

std::string_view text_of(Arithmetic arithmetic) {
  return arithmetic == Arithmetic::full ? "full precision" : "quantized attention";
}

Arithmetic arithmetic_of(const AttendCall& call) {
  return call.recipe ? Arithmetic::quantized : Arithmetic::full;
}

Arithmetic arithmetic_of(Precision precision) {
  return precision == Precision::full ? Arithmetic::full : Arithmetic::quantized;
}

std::string who_does(Arithmetic arithmetic) {
  std::vector<std::string_view> names;
  for (const Backend& backend : backends()) {
    if (backend.arithmetic == arithmetic) names.push_back(backend.name);
  }
  return fmt::format("{} is done by {}", text_of(arithmetic), fmt::join(names, ", "));
}

Chosen choose_named(const AttendCall& call, std::string_view wanted) {
  const Backend& named = backend_named(wanted);
  if (named.arithmetic != arithmetic_of(call)) {
    throw UsageError(fmt::format("attention backend {} does {}, this call is of {}", wanted, text_of(named.arithmetic),
                                 text_of(arithmetic_of(call))),
                     who_does(arithmetic_of(call)));
  }
  if (const std::string reason = obstacle(named, call); !reason.empty()) {
    throw Error(fmt::format("attention backend {} can't do this call: {}", wanted, reason));
  }
  return {named, {}};
}

// Kernels mostly refuse a call for one reason: each is said once. Those that are not for this device count only where
// there are no others.
std::string why_no_kernel(const AttendCall& call) {
  std::set<std::string> refused, missing;
  for (const Backend& backend : backends()) {
    if (backend.role != Role::kernel || backend.arithmetic != arithmetic_of(call)) continue;
    const std::string lack = backend.missing(call.q.device().type());
    if (lack.empty()) {
      refused.insert(backend.refuses(call));
    } else {
      missing.insert(lack);
    }
  }
  if (!refused.empty()) return fmt::format("{}", fmt::join(refused, "; "));
  return fmt::format("none is for {} on this machine: {}",
                     c10::DeviceTypeName(call.q.device().type(), /*lower_case=*/true), fmt::join(missing, "; "));
}

}  // namespace

std::span<const Backend> backends() {
  static const std::vector<Backend> table = make_table();
  return table;
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

std::string obstacle(const Backend& backend, const AttendCall& call) {
  std::string missing = backend.missing(call.q.device().type());
  return missing.empty() ? backend.refuses(call) : missing;
}

Chosen choose_backend(const AttendCall& call, std::string_view wanted) {
  if (!wanted.empty()) return choose_named(call, wanted);
  const auto order = [&](const Backend& backend) {
    return std::tuple(backend.role == Role::kernel, backend.preference == nullptr ? 0 : backend.preference(call));
  };
  const Backend* best = nullptr;
  std::string reasons;
  for (const Backend& backend : backends()) {
    if (backend.arithmetic != arithmetic_of(call)) continue;
    if (const std::string reason = obstacle(backend, call); !reason.empty()) {
      reasons += fmt::format("\n  {}: {}", backend.name, reason);
    } else if (best == nullptr || order(backend) > order(*best)) {
      best = &backend;
    }
  }
  if (best == nullptr) throw Error(fmt::format("no attention backend can do this call:{}", reasons));
  return {*best, best->role == Role::oracle ? why_no_kernel(call) : ""};
}

const std::string& BackendNames::of(Precision precision) const {
  return arithmetic_of(precision) == Arithmetic::full ? full : quantized;
}

void BackendNames::check_used_by(std::span<const Precision> precisions) const {
  for (const Arithmetic arithmetic : {Arithmetic::full, Arithmetic::quantized}) {
    const std::string& name = arithmetic == Arithmetic::full ? full : quantized;
    const bool used = std::ranges::any_of(precisions, [&](Precision p) { return arithmetic_of(p) == arithmetic; });
    if (name.empty() || used) continue;
    throw UsageError(fmt::format("{}: {} does {}, of which this run has none", named_by, name, text_of(arithmetic)),
                     who_does(arithmetic == Arithmetic::full ? Arithmetic::quantized : Arithmetic::full));
  }
}

BackendNames backends_from(std::string_view text, std::string_view named_by) {
  constexpr const char* variable = "BITREEL_ATTENTION_BACKEND";
  const char* const from_environment = std::getenv(variable);
  if (text.empty() && from_environment != nullptr) {
    text = from_environment;
    named_by = variable;
  }
  BackendNames names{.full = {}, .quantized = {}, .named_by = std::string(named_by)};
  if (text.empty()) return names;
  for (std::size_t begin = 0, end = 0; end != std::string_view::npos; begin = end + 1) {
    end = text.find(',', begin);
    const std::string_view name = text.substr(begin, end - begin);
    const Backend* named = nullptr;
    try {
      named = &backend_named(name);
    } catch (const UsageError& error) {
      throw UsageError(fmt::format("{}: {}", named_by, error.what()), error.hint());
    }
    std::string& place = named->arithmetic == Arithmetic::full ? names.full : names.quantized;
    if (!place.empty()) {
      throw UsageError(fmt::format("{}: {} and {} both do {}", named_by, place, name, text_of(named->arithmetic)),
                       "give one name for full precision and one for quantized attention, such as reference,emulated");
    }
    place = name;
  }
  return names;
}

}  // namespace bitreel
