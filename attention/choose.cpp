#include "attention/choose.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "attention/similarity.h"
#include "base/error.h"

namespace bitreel {
namespace {

at::Tensor run(const CapturedCall& call, const std::optional<Recipe>& recipe) {
  AttendOptions options = call.options;
  options.precision = Precision::full;
  options.recipe = recipe;
  return attend(call.q, call.k, call.v, options);
}

}  // namespace

std::optional<Recipe> fastest_that_holds(std::span<const CapturedCall> calls, std::span<const Candidate> candidates,
                                         double threshold) {
  if (calls.empty()) throw Error("no captured calls to judge recipes by");
  std::vector<at::Tensor> expected;
  for (const CapturedCall& call : calls) expected.push_back(run(call, std::nullopt));

  const auto holds = [&](const Candidate& candidate) {
    for (std::size_t i = 0; i < calls.size(); ++i) {
      const double cosine = similarity(expected[i], run(calls[i], candidate.recipe)).cosine;
      if (!(cosine >= threshold)) return false;
    }
    return true;
  };
  std::vector<Candidate> fastest_first(candidates.begin(), candidates.end());
  std::ranges::stable_sort(fastest_first, {}, &Candidate::seconds);
  const auto found = std::ranges::find_if(fastest_first, holds);
  if (found == fastest_first.end()) return std::nullopt;
  return found->recipe;
}

}  // namespace bitreel
