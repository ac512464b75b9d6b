// How close an attention output is to the one it stands for: the measures of the SageAttention papers.
//
//   const Similarity close = similarity(full_precision_output, quantized_output);
//   const bool holds = close.cosine >= 0.998 && close.relative_l2 <= 0.06;
//
// All elements of both tensors, of one shape and any dtype, in fp64 sums. NaN or infinity in either makes every measure
// NaN, and so fails every comparison. Against an expected output of zeros an error counts as infinitely large, and none
// as none.
#pragma once

#include <ATen/core/Tensor.h>

namespace bitreel {

struct Similarity {
  double cosine;       // sum(O O') / sqrt(sum(O^2) sum(O'^2))
  double relative_l1;  // sum|O - O'| / sum|O|
  double relative_l2;  // |O - O'| / |O|, in Euclidean norms
  double rmse;         // sqrt(mean (O - O')^2)
  double worst_row;    // the largest relative L2 of one query: of one row of the last dimension

  // What layers and steps are ranked by: cosine * (1 - relative L1).
  [[nodiscard]] double score() const { return cosine * (1 - relative_l1); }
};

// Throws Error when the shapes differ or there is nothing to compare.
Similarity similarity(const at::Tensor& expected, const at::Tensor& actual);

}  // namespace bitreel
