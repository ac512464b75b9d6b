// The likeliest token sequences that a language model continues with, a few at a time: beam search; with one beam,
// greedy.
//
//   const std::vector<Beam> found = beam_search(logits_after_prefix, step, {.end_id = 50257});
//   found.front().tokens;   // the best, its end token included
//
// step(sources, tokens): the beams go on from `sources` [beams] of the last call's, each by one of `tokens` [beams];
// returns the next logits [beams, V]. logits_after_prefix: [1, V].
// Computes what UniDiffuserTextDecoder.generate_beam computes, ties included: sums of log-probabilities, compared by
// their mean per token; a beam that has ended waits with its score. One that never ends is cut at most_tokens.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace bitreel {

struct BeamOptions {
  std::int64_t beams = 5;
  std::int64_t most_tokens = 67;
  std::int64_t end_id = 0;
};

struct Beam {
  std::vector<std::int64_t> tokens;
  double score = 0;    // log-probability per token
  bool ended = false;  // by the end token, rather than cut
};

using BeamStep = std::function<at::Tensor(const at::Tensor& sources, const at::Tensor& tokens)>;

// Best first.
std::vector<Beam> beam_search(const at::Tensor& logits_after_prefix, const BeamStep& step, const BeamOptions& options);

}  // namespace bitreel
