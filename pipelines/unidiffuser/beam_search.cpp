#include "pipelines/unidiffuser/beam_search.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <limits>

#include "base/error.h"

namespace bitreel {
namespace {

// As the peer takes it: the logarithm after the softmax.
at::Tensor log_probabilities(const at::Tensor& logits) {
  return at::softmax(logits, -1).log();
}

}  // namespace

std::vector<Beam> beam_search(const at::Tensor& logits_after_prefix, const BeamStep& step, const BeamOptions& options) {
  const std::int64_t vocabulary = logits_after_prefix.size(1);
  if (options.beams < 1 || options.beams > vocabulary || options.most_tokens < 1) {
    throw Error(fmt::format("beam search with {} beams and {} tokens: expected 1 to {} beams and at least one token",
                            options.beams, options.most_tokens, vocabulary));
  }
  const at::TensorOptions integers = logits_after_prefix.options().dtype(at::kLong);
  at::Tensor lengths = at::ones({options.beams}, integers.dtype(at::kInt));
  auto [first_scores, first_tokens] = log_probabilities(logits_after_prefix).topk(options.beams, -1);
  at::Tensor scores = first_scores.squeeze(0);       // [beams]
  at::Tensor tokens = first_tokens.permute({1, 0});  // [beams, tokens so far]
  at::Tensor ended = tokens.squeeze(1).eq(options.end_id);
  at::Tensor sources = at::zeros({options.beams}, integers);

  for (std::int64_t i = 1; i < options.most_tokens && !ended.all().item<bool>(); ++i) {
    at::Tensor logits = log_probabilities(step(sources, tokens.select(1, tokens.size(1) - 1)));
    // An ended beam has one way on, at no cost.
    logits.index_put_({ended}, at::scalar_tensor(-std::numeric_limits<double>::infinity(), logits.options()));
    logits.select(1, 0).masked_fill_(ended, 0);
    lengths += ended.logical_not().to(at::kInt);
    const at::Tensor means = (scores.unsqueeze(1) + logits) / lengths.unsqueeze(1);
    const auto [best, indices] = means.view(-1).topk(options.beams, -1);
    sources = indices.div(vocabulary, "floor");
    const at::Tensor next = indices.remainder(vocabulary);
    lengths = lengths.index_select(0, sources);
    tokens = at::cat({tokens.index_select(0, sources), next.unsqueeze(1)}, 1);
    scores = best * lengths;
    ended = ended.index_select(0, sources).logical_or(next.eq(options.end_id));
  }

  const at::Tensor means = (scores / lengths).to(at::kCPU);
  const at::Tensor order = means.argsort(-1, /*descending=*/true);
  tokens = tokens.to(at::kCPU);
  lengths = lengths.to(at::kCPU);
  ended = ended.to(at::kCPU);
  std::vector<Beam> beams;
  for (std::int64_t i = 0; i < options.beams; ++i) {
    const auto beam = order[i].item<std::int64_t>();
    const at::Tensor row = tokens[beam].contiguous();
    const auto* data = row.const_data_ptr<std::int64_t>();
    beams.push_back({.tokens = {data, data + lengths[beam].item<std::int64_t>()},
                     .score = means[beam].item<double>(),
                     .ended = ended[beam].item<bool>()});
  }
  return beams;
}

}  // namespace bitreel
