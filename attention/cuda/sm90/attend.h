// The kernels for Hopper (sm_90a): 8-bit products by warpgroups, copies by TMA (attention/cuda/sm90/kernel.cuh).
// What they can't do, causality for instance, is other kernels' work: refuses() comes before attend().
//
// Made for what the recipes of int8 and int4 are on CUDA: q and k with one scale a token and one for each group of 32
// keys that a thread of a warpgroup owns, without the keys' mean; P and V in e4m3, the sum of P from V's row of ones.
// 4-bit integers come as e4m3, which holds them: products and sums are those of integers, by the units of e4m3. Hopper
// has no unit for 4 bits; what int4 gains is that its scores are floats already. Whatever head dimension up to 128,
// strides, grouped queries and log-sum-exp. P is rounded against a maximum that moves by a log2 unit or more, half of
// its pairs from powers that are 0.9% off (exponent.cuh): a row differs from the oracle's by what rounding P does, not
// by fp32's rounding. Equal inputs give equal bits. Neither allocates nor waits: a call can be captured into a CUDA
// graph.
#pragma once

#include "attention/cuda/packed.h"
#include "attention/recipe.h"

namespace bitreel::cuda::sm90 {

// Why attend() can't do the call ("causality"), null when it can. Looks at no memory.
const char* refuses(const Recipe& recipe, const PackedCall& call);

// A cudaError_t, 0 for none.
int attend(const Recipe& recipe, const PackedCall& call, void* stream);

}  // namespace bitreel::cuda::sm90
