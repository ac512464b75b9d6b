// The mma.sync kernels (attention/cuda/mma/): every recipe, mask and shape, on every GPU since sm_80.
// plugin.cu says what a recipe asks of them.
#pragma once

#include <cuda_runtime.h>

#include "attention/cuda/plugin.h"

namespace bitreel::cuda {

// What multiplies P and V. fp16 also does e4m3, whose numbers it holds, where there is no unit for them.
enum class Product { u8, e4m3, fp16, fp16_sum };

// What a recipe asks of the loop.
struct MmaCall {
  PackedCall packed;
  std::int32_t keys_of_block;   // 64, 128 or 256
  std::int32_t block_maximum;   // 1: weights are against the block's maximum, not the maximum so far
  std::int32_t table;           // 1: powers are looked up at 1/7 log2 unit
  std::int32_t rounded_sum;     // 1: sum(P) is of P as it is multiplied
  std::int32_t rounds_to_e4m3;  // 1: Product::fp16 multiplies e4m3 numbers
  float one;                    // what stands for 1 in P: 127, 255, 448 or 1
  float log2_of_one;            // its logarithm; 0 for integers, which are multiplied with it
};

// One .cu file each. Those of _s4 take packed halves of bytes, the others bytes.
int attend_u8(const MmaCall& call, cudaStream_t stream);
int attend_e4m3(const MmaCall& call, cudaStream_t stream);
int attend_e4m3_s4(const MmaCall& call, cudaStream_t stream);
int attend_fp16(const MmaCall& call, cudaStream_t stream);
int attend_fp16_s4(const MmaCall& call, cudaStream_t stream);
int attend_fp16_sum(const MmaCall& call, cudaStream_t stream);

}  // namespace bitreel::cuda
