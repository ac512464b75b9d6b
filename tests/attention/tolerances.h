// What the tests of attention allow, all of it. Rows are queries; row errors are relative, in Euclidean norm.
#pragma once

#include <c10/core/ScalarType.h>

#include <string_view>

#include "attention/precision.h"

namespace bitreel {

// A quantized output against the formula in fp64 on unquantized inputs. Measured at logit deviation 1, 512 keys: 8 bits
// 0.009 to 0.038 and 0.9993, 4 bits 0.17 to 0.21 and 0.978.
struct Quality {
  double least_cosine, relative_l2;
};
inline constexpr Quality eight_bits = {0.998, 0.06};
inline constexpr Quality four_bits = {0.97, 0.25};

// SAGEAttn-vB has the coarsest scales and P in 7 bits against the running maximum; its paper measured a relative L1 of
// 0.138 on normal data (2410.02367, table 4). Measured here 0.027, on the hardest set 0.064.
inline constexpr Quality eight_bits_coarse = {0.995, 0.08};
// Of 8 bits where channels are beyond what integers reach: measured 0.15 to 0.28 and 0.96.
inline constexpr Quality eight_bits_beyond = {0.9, 0.45};

inline Quality quality_of(Precision precision) {
  if (precision == Precision::sage1_vb) return eight_bits_coarse;
  return bits_of(precision) == 4 ? four_bits : eight_bits;
}

// A kernel against the oracle of its recipe, as parts of the row or of a quarter of the longest value. They differ by
// fp32 rounding (measured: 3e-7), which now and then carries one P over the middle between two of its integers: that
// moves a row by up to 1/7 log2 unit of one weight.
struct SameArithmetic {
  double row;            // what most rows keep
  double share_of_rows;  // that may do otherwise, and always one
  double otherwise;      // what those keep
};

// A GPU's tensor cores add in an order and precision of their own: measured 3e-6 with P V in fp16, 6e-5 with its sums
// in fp16 too. cuda-sm90 rounds P against a maximum that moves in steps, from powers that are up to 1% off
// (attention/cuda/sm90/attend.h): its rows differ by what rounding P to e4m3 does.
inline SameArithmetic allowed_of(c10::ScalarType output, std::string_view backend) {
  if (backend == "cuda-sm90") return {0.06, 0.05, 0.2};
  if (output == c10::kFloat) return {backend.starts_with("cuda") ? 1e-4 : 2e-6, 0.05, 0.2};
  return {output == c10::kHalf ? 1e-3 : 8e-3, 0.05, 0.2};  // an output may round the other way
}

// Log-sum-exp of the same, absolute and as a part of it. Against the formula it may be off by what the logits are.
inline constexpr double log_sum_exp = 1e-5;
inline double log_sum_exp_of(std::string_view backend) {
  return backend == "cuda-sm90" ? 0.03 : log_sum_exp;  // powers of one percent, added; measured 0.024 of few keys
}

// Of equal weights, absolute.
inline double mean_of_values(std::string_view backend) {
  return backend == "cuda-sm90" ? 1e-4 : 1e-6;  // measured 5e-5
}
inline double log_sum_exp_of_quantized(Precision precision) {
  return bits_of(precision) == 4 ? 0.6 : 0.08;
}

// Full precision against the formula, absolute for values of order one: logits reach 40 at scale 1, and rounding them
// moves weights by that many fp32 epsilons.
inline double full_precision(c10::ScalarType dtype) {
  if (dtype == c10::kDouble) return 1e-13;
  if (dtype == c10::kFloat) return 2e-5;
  return dtype == c10::kHalf ? 4e-3 : 3e-2;
}

}  // namespace bitreel
