// Eight channels of one token at a time, of any element type and stride, as floats.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <type_traits>

#include "attention/cuda/packed.h"

namespace bitreel::cuda {

inline __device__ float to_float(float x) {
  return x;
}
inline __device__ float to_float(__half x) {
  return __half2float(x);
}
inline __device__ float to_float(__nv_bfloat16 x) {
  return __bfloat162float(x);
}

// A word of memory as numbers: one of 32 bits or two of 16. The smaller, the larger of two words' numbers; of NaN and a
// number, the number.
template <class T>
struct Word {
  using Numbers = std::conditional_t<std::is_same_v<T, float>, float,
                                     std::conditional_t<std::is_same_v<T, __half>, __half2, __nv_bfloat162>>;

  static __device__ Numbers numbers(unsigned word) { return *reinterpret_cast<const Numbers*>(&word); }
  static __device__ unsigned bits(Numbers numbers) { return *reinterpret_cast<const unsigned*>(&numbers); }
  static __device__ unsigned smaller(unsigned a, unsigned b) {
    if constexpr (sizeof(T) == 4) {
      return bits(fminf(numbers(a), numbers(b)));
    } else {
      return bits(__hmin2(numbers(a), numbers(b)));
    }
  }
  static __device__ unsigned larger(unsigned a, unsigned b) {
    if constexpr (sizeof(T) == 4) {
      return bits(fmaxf(numbers(a), numbers(b)));
    } else {
      return bits(__hmax2(numbers(a), numbers(b)));
    }
  }
  // The number at an index.
  static __device__ float number(unsigned word, int i) {
    if constexpr (std::is_same_v<T, float>) {
      return numbers(word);
    } else if constexpr (std::is_same_v<T, __half>) {
      return i == 0 ? __low2float(numbers(word)) : __high2float(numbers(word));
    } else {  // bf16 is the upper half of an fp32 number: one instruction for either
      return __uint_as_float(i == 0 ? word << 16 : word & 0xffff0000u);
    }
  }
  // All of its numbers this one.
  static __device__ unsigned of(float x) {
    const T numbers[2] = {static_cast<T>(x), static_cast<T>(x)};
    return *reinterpret_cast<const unsigned*>(numbers);
  }
};

// As they lie in memory, so that many can be on their way in few registers.
template <class T>
struct Octet {
  union {
    uint4 words[sizeof(T) / 2];
    T values[8];
  };
  static constexpr int word_count = 2 * sizeof(T), of_word = 4 / sizeof(T);
  __device__ Octet() {}
  __device__ float operator[](int i) const { return Word<T>::number(word(i / of_word), i % of_word); }
  // The largest magnitude as fp32, NaN counting as more than infinity: bits without a sign compare as unsigned numbers
  // do.
  __device__ float largest() const {
    if constexpr (sizeof(T) == 2) {
      unsigned both = 0;
#pragma unroll
      for (const uint4& word : words) {
        both = __vmaxu2(__vmaxu2(both, word.x & 0x7fff7fffu), word.y & 0x7fff7fffu);
        both = __vmaxu2(__vmaxu2(both, word.z & 0x7fff7fffu), word.w & 0x7fff7fffu);
      }
      const auto bits = static_cast<unsigned short>(max(both & 0xffffu, both >> 16));
      return to_float(*reinterpret_cast<const T*>(&bits));
    } else {
      unsigned most = 0;
#pragma unroll
      for (int i = 0; i < 8; ++i) most = max(most, __float_as_uint(values[i]) & 0x7fffffffu);
      return __uint_as_float(most);
    }
  }
  __device__ unsigned word(int i) const {
    const uint4& four = words[i / 4];
    return i % 4 == 0 ? four.x : i % 4 == 1 ? four.y : i % 4 == 2 ? four.z : four.w;
  }
  // From an address that is a multiple of 16.
  __device__ void load(const T* from) {
#pragma unroll
    for (int i = 0; i < static_cast<int>(sizeof(T)) / 2; ++i) words[i] = reinterpret_cast<const uint4*>(from)[i];
  }
  __device__ void clear() {
#pragma unroll
    for (auto& word : words) word = make_uint4(0, 0, 0, 0);
  }
};

// Over lanes that lie side by side, as those that share a token; each gets it.
template <int Lanes, class Number>
__device__ Number sum_of_lanes(Number x) {
#pragma unroll
  for (int step = 1; step < Lanes; step *= 2) x += __shfl_xor_sync(~0u, x, step);
  return x;
}

// Tokens of one head. `aligned`: every group of eight channels lies on 16 bytes and is whole.
template <class T>
struct HeadRows {
  const T* data;
  std::int64_t stride;
  int dim;
  bool aligned;

  // Channels [first, first + 8), zeros beyond dim.
  __device__ void load(std::int64_t token, int first, Octet<T>& x) const {
    const T* const from = data + token * stride + first;
    if (aligned) {
      x.load(from);
    } else {
      x.clear();
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        if (first + i < dim) x.values[i] = from[i];
      }
    }
  }

  // Of tokens first, first + step, ..., which `end` is behind the first of: those before `end`, the last of them again
  // in place of others. kept: which of the head's they are, or null.
  template <int Count>
  __device__ void load_up_to(const std::int32_t* kept, int first, int step, int end, int channel,
                             Octet<T> (&x)[Count]) const {
    if (aligned && kept == nullptr) {  // asked once: all loads are on their way together
      const T* from = data + first * stride + channel;
#pragma unroll
      for (int i = 0; i < Count; ++i) {
        if (i > 0 && first + i * step < end) from += step * stride;
        x[i].load(from);
      }
      return;
    }
    int token = first;
#pragma unroll
    for (int i = 0; i < Count; ++i) {
      if (i > 0 && first + i * step < end) token += step;
      load(kept == nullptr ? token : kept[token], channel, x[i]);
    }
  }

  // Of tokens first, first + step, ..., those before `end`, the others zeros. kept: which of the head's they are, or
  // null.
  template <int Count>
  __device__ void load_some(const std::int32_t* kept, int first, int step, int end, int channel,
                            Octet<T> (&x)[Count]) const {
    if (aligned && kept == nullptr) {
      const T* from = data + first * stride + channel;
#pragma unroll
      for (int i = 0; i < Count; ++i, from += step * stride) {
        if (first + i * step < end) {
          x[i].load(from);
        } else {
          x[i].clear();
        }
      }
      return;
    }
#pragma unroll
    for (int i = 0; i < Count; ++i) {
      const int token = first + i * step;
      if (token < end) {
        load(kept == nullptr ? token : kept[token], channel, x[i]);
      } else {
        x[i].clear();
      }
    }
  }
};

// dim 64 or 128 stands for the caller's: `aligned` asks that they are the same.
template <class T>
inline __device__ HeadRows<T> head_rows(const Rows& rows, int batch, int head, int dim, int packed_dim) {
  const T* const data = static_cast<const T*>(rows.data) + batch * rows.batch_stride + head * rows.head_stride;
  constexpr std::int64_t whole = 16 / sizeof(T);
  const bool aligned =
      dim == packed_dim && reinterpret_cast<std::uintptr_t>(data) % 16 == 0 && rows.token_stride % whole == 0;
  return {data, rows.token_stride, dim, aligned};
}

}  // namespace bitreel::cuda
