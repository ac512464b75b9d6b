// Vectors of eight elements, read and written in 16 bytes, and their numbers in fp32: for kernels bound by memory.
//
//   const Octet<T> x = loaded(from);
//   for (int i = 0; i < vector; ++i) values[i] = 2 * x[i];
//   store(to, values);
#pragma once

#include "attention/cuda/elements.cuh"

namespace bitreel::cuda {

inline constexpr int vector = 8;

inline __device__ void narrow(float x, float& out) {
  out = x;
}
inline __device__ void narrow(float x, __nv_bfloat16& out) {
  out = __float2bfloat16_rn(x);
}
inline __device__ void narrow(float x, __half& out) {
  out = __float2half_rn(x);
}

// To and from addresses that are multiples of 16.
template <class T>
__device__ void store(T* to, const Octet<T>& octet) {
#pragma unroll
  for (int i = 0; i < static_cast<int>(sizeof(T)) / 2; ++i) reinterpret_cast<uint4*>(to)[i] = octet.words[i];
}

template <class T>
__device__ Octet<T> rounded(const float (&values)[vector]) {
  Octet<T> octet;
#pragma unroll
  for (int i = 0; i < vector; ++i) narrow(values[i], octet.values[i]);
  return octet;
}

template <class T>
__device__ void store(T* to, const float (&values)[vector]) {
  store(to, rounded<T>(values));
}

template <class T>
__device__ Octet<T> loaded(const T* from) {
  Octet<T> octet;
  octet.load(from);
  return octet;
}

}  // namespace bitreel::cuda
