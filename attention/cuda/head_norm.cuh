// What a transformer does to a row of queries or keys before they attend: LayerNorm over a head's channels, then rotary
// positions. A row's vectors of eight channels are in Lanes neighbouring threads, in fp32 all the while.
//
//   const HeadNormVector<T> norm(weight, bias, channel, eps);
//   norm.apply<Lanes>(octet, cos, sin, angle, values);   // angle: where the row's channel has its own; negative: none
#pragma once

#include "attention/cuda/elements.cuh"

namespace bitreel::cuda {

// Where a row's channel has its angle; tokens from `first_rotated` on have one, where there are any.
inline __device__ int angle_at(const float* cos, int token, int first_rotated, int dim, int channel) {
  return cos == nullptr || token < first_rotated ? -1 : (token - first_rotated) * dim + channel;
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
    Octet<float> of_cos, of_sin;
    of_cos.load(cos + angle);
    of_sin.load(sin + angle);
#pragma unroll
    for (int i = 0; i < 8; i += 2) {
      const float a = values[i], b = values[i + 1];
      values[i] = a * of_cos[i] - b * of_sin[i];
      values[i + 1] = b * of_cos[i + 1] + a * of_sin[i + 1];
    }
  }
};

}  // namespace bitreel::cuda
