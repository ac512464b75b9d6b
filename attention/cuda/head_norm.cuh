// What a transformer does to a row of queries or keys before they attend: LayerNorm over a head's channels, then rotary
// positions. A row's vectors of eight channels are in Lanes neighbouring threads, in fp32 all the while.
//
//   const HeadNormVector<T> norm(weight, bias, channel, eps);
//   norm.apply<Lanes>(octet, cos, sin, angle, values);   // angle: where the row's channel has its own; negative: none
#pragma once

#include "attention/cuda/elements.cuh"

namespace bitreel::cuda {

// Where a row's channel, an even one, and the next have their angle; tokens from `first_rotated` on have them, where
// there are any.
inline __device__ int angle_at(const float* cos, int token, int first_rotated, int dim, int channel) {
  return cos == nullptr || token < first_rotated ? -1 : ((token - first_rotated) * dim + channel) / 2;
}

template <class T>
struct HeadNormVector {
  Octet<T> weight, bias;
  float eps;

  __device__ HeadNormVector(const void* weights, const void* biases, int channel, float epsilon) : eps(epsilon) {
    weight.load(static_cast<const T*>(weights) + channel);
    bias.load(static_cast<const T*>(biases) + channel);
  }

  template <int Lanes>
  __device__ void apply(const Octet<T>& x, const float* cos, const float* sin, int angle, float (&values)[8]) const {
    constexpr int dim = Lanes * 8;
    float sum = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) sum += values[i] = x[i];
    const float mean = sum_of_lanes<Lanes>(sum) / dim;
    float squares = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      values[i] -= mean;
      squares += values[i] * values[i];
    }
    const float factor = rsqrtf(sum_of_lanes<Lanes>(squares) / dim + eps);
#pragma unroll
    for (int i = 0; i < 8; ++i) values[i] = values[i] * factor * weight[i] + bias[i];
    if (angle < 0) return;
    const auto of_cos = *reinterpret_cast<const float4*>(cos + angle),
               of_sin = *reinterpret_cast<const float4*>(sin + angle);
    const float c[4] = {of_cos.x, of_cos.y, of_cos.z, of_cos.w}, s[4] = {of_sin.x, of_sin.y, of_sin.z, of_sin.w};
#pragma unroll
    for (int i = 0; i < 8; i += 2) {
      const float a = values[i], b = values[i + 1];
      values[i] = a * c[i / 2] - b * s[i / 2];
      values[i + 1] = b * c[i / 2] + a * s[i / 2];
    }
  }
};

}  // namespace bitreel::cuda
