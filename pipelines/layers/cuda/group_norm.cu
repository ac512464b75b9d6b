// The kernels of group_norm_call.h.
#include <cuda_runtime.h>

#include "attention/cuda/start.cuh"
#include "attention/cuda/vectors.cuh"
#include "pipelines/layers/cuda/by_element.cuh"
#include "pipelines/layers/cuda/group_norm_call.h"

namespace bitreel::cuda {
namespace {

constexpr int vectors_of_a_result = 4;  // of a thread
constexpr int loads_at_once = 4;

// The place of a thread's first vector, and of the block among others.
struct Share {
  int clip, frame, chunk, channel;
  int first;  // position of the thread's first vector
  bool takes_part;
};

// Step: positions of a vector; Channels: its channels.
template <int Step, int Channels>
__device__ Share share_of(const GroupNormCall& call, const NormShares& shares, int vectors) {
  const int chunks = shares.chunks(call, vectors);
  unsigned block = blockIdx.x;
  Share share;
  share.chunk = static_cast<int>(block % chunks);
  block /= chunks;
  const int unit = static_cast<int>(block % shares.unit_blocks) * shares.units + threadIdx.x % shares.units;
  block /= shares.unit_blocks;
  share.frame = static_cast<int>(block % call.frames);
  share.clip = static_cast<int>(block / call.frames);
  share.channel = unit * Channels;
  const int lane = threadIdx.x / shares.units;
  share.first = share.chunk * shares.positions * vectors + lane * Step;
  share.takes_part = lane < shares.lanes && share.channel < call.channels;
  return share;
}

template <class T>
__device__ const T* data_of(const Volume& volume, int clip, int channel, int frame) {
  return static_cast<const T*>(volume.data) + clip * volume.clip + channel * volume.channel + frame * volume.frame;
}

template <class T, int Count>
__device__ void load(const T* from, float (&values)[Count]) {
  if constexpr (Count == vector) {
    const Octet<T> octet = loaded(from);
#pragma unroll
    for (int i = 0; i < vector; ++i) values[i] = octet[i];
  } else {
    values[0] = to_float(*from);
  }
}

// Moments are of differences from one number of the group, so that little is lost where the mean is large.
template <class T>
__device__ float pivot_of(const GroupNormCall& call, int clip, int channel) {
  const int group = call.channels / call.groups;
  return to_float(*data_of<T>(call.x, clip, channel / group * group, 0));
}

// Grid: chunks of positions, channels, frames, clips. Writes [clips, slices, channels] sums of the differences and of
// their squares.
template <class T, int Step, int Channels>
__global__ void __launch_bounds__(norm_threads) sum_slices(GroupNormCall call, NormShares shares) {
  constexpr int count = Step * Channels;
  __shared__ float2 slots[Channels][norm_threads];
  const Share share = share_of<Step, Channels>(call, shares, vectors_of_a_sum);
  const int positions = call.height * call.width;
  float2 sums[Channels] = {};
  if (share.takes_part) {
    const T* const x = data_of<T>(call.x, share.clip, share.channel, share.frame);
    float pivots[Channels];
#pragma unroll
    for (int i = 0; i < Channels; ++i) pivots[i] = pivot_of<T>(call, share.clip, share.channel + i);
    for (int v = 0; v < vectors_of_a_sum; v += loads_at_once) {
      float values[loads_at_once][count];
#pragma unroll
      for (int i = 0; i < loads_at_once; ++i) {
        const int position = share.first + (v + i) * shares.positions;
        if (position < positions) {
          load(x + position * call.x.position, values[i]);
        } else {
#pragma unroll
          for (int j = 0; j < count; ++j) values[i][j] = pivots[j % Channels];
        }
      }
#pragma unroll
      for (int i = 0; i < loads_at_once; ++i) {
#pragma unroll
        for (int j = 0; j < count; ++j) {
          const float difference = values[i][j] - pivots[j % Channels];
          sums[j % Channels].x += difference;
          sums[j % Channels].y += difference * difference;
        }
      }
    }
  }
#pragma unroll
  for (int i = 0; i < Channels; ++i) slots[i][threadIdx.x] = sums[i];
  __syncthreads();
  const int lane = threadIdx.x / shares.units;
  for (int left = shares.lanes; left > 1;) {
    const int half = (left + 1) / 2;
    if (lane < left - half) {
#pragma unroll
      for (int i = 0; i < Channels; ++i) {
        float2& sum = slots[i][threadIdx.x];
        const float2 other = slots[i][threadIdx.x + half * shares.units];
        sum = {sum.x + other.x, sum.y + other.y};
      }
    }
    __syncthreads();
    left = half;
  }
  if (lane == 0 && share.takes_part) {
    const int chunks = shares.chunks(call, vectors_of_a_sum);
    const std::int64_t slice = std::int64_t{share.clip} * call.frames * chunks + share.frame * chunks + share.chunk;
    float2* const to = reinterpret_cast<float2*>(call.work) + slice * call.channels + share.channel;
#pragma unroll
    for (int i = 0; i < Channels; ++i) to[i] = slots[i][threadIdx.x];
  }
}

// [clips, channels] of the factor and the term that norm(x) * weight + bias is, behind the sums.
__device__ float2* factors_of(const GroupNormCall& call, int slices, int clip) {
  const std::int64_t sums = std::int64_t{call.clips} * slices * call.channels;
  return reinterpret_cast<float2*>(call.work) + sums + std::int64_t{clip} * call.channels;
}

// Grid: groups of every clip.
template <class T>
__global__ void __launch_bounds__(norm_threads) finish_groups(GroupNormCall call, int slices) {
  __shared__ double sums[norm_threads], squares[norm_threads];
  const int group = call.channels / call.groups;
  const int clip = static_cast<int>(blockIdx.x) / call.groups;
  const int first = static_cast<int>(blockIdx.x) % call.groups * group;
  const float2* const from =
      reinterpret_cast<const float2*>(call.work) + std::int64_t{clip} * slices * call.channels + first;
  double sum = 0, square = 0;
  for (int i = static_cast<int>(threadIdx.x); i < slices * group; i += norm_threads) {
    const float2 pair = from[std::int64_t{i / group} * call.channels + i % group];
    sum += pair.x;
    square += pair.y;
  }
  sums[threadIdx.x] = sum;
  squares[threadIdx.x] = square;
  __syncthreads();
  for (int half = norm_threads / 2; half > 0; half /= 2) {
    if (static_cast<int>(threadIdx.x) < half) {
      sums[threadIdx.x] += sums[threadIdx.x + half];
      squares[threadIdx.x] += squares[threadIdx.x + half];
    }
    __syncthreads();
  }
  const double count = static_cast<double>(call.frames) * call.height * call.width * group;
  const double away = sums[0] / count, variance = squares[0] / count - away * away;
  const double mean = pivot_of<T>(call, clip, first) + away;
  const double inverse = 1.0 / sqrt((variance < 0 ? 0 : variance) + call.eps);
  for (int i = static_cast<int>(threadIdx.x); i < group; i += norm_threads) {
    const double factor = inverse * to_float(static_cast<const T*>(call.weight)[first + i]);
    const double term = to_float(static_cast<const T*>(call.bias)[first + i]) - mean * factor;
    factors_of(call, slices, clip)[first + i] = {static_cast<float>(factor), static_cast<float>(term)};
  }
}

// Where upsample_nearest takes the number at each place from. Step: float(source size) / size.
__device__ int nearest(int place, float step, int size) {
  return min(static_cast<int>(static_cast<float>(place) * step), size - 1);
}

__device__ float step_of(int source, int size) {
  return static_cast<float>(source) / static_cast<float>(size);
}

__device__ int map_frame_of(const GroupNormCall& call, int frame) {
  if (call.first_frame_alone == 0) return nearest(frame, step_of(call.map_frames, call.frames), call.map_frames);
  if (frame == 0) return 0;
  return 1 + nearest(frame - 1, step_of(call.map_frames - 1, call.frames - 1), call.map_frames - 1);
}

// Steps from the rows and columns of a frame to those of the maps.
struct MapSteps {
  float down, right;
};

// Reads both maps at one position after the other. The index of a column follows from the last one by a comparison:
// conversions run at a sixteenth of the rate.
template <class T>
struct MapReader {
  const GroupNormCall& call;
  const MapSteps& steps;
  const T *scales, *shifts;
  int row = 0, column = 0, map_row = 0, map_column = 0;
  float place = 0, next = 0;  // of the column; the maps' place where their next column begins
  float scale = 0, shift = 0;

  __device__ void start(int position) {
    row = position / call.width;
    column = position - row * call.width;
    map_column = static_cast<int>(static_cast<float>(column) * steps.right);
    enter_row();
  }
  __device__ void advance() {
    if (++column == call.width) {
      ++row;
      column = map_column = 0;
      enter_row();
      return;
    }
    place += 1;
    if (place * steps.right < next) return;
    for (; place * steps.right >= next; next += 1) ++map_column;
    read();
  }
  __device__ void enter_row() {
    map_row = nearest(row, steps.down, call.map_height);
    place = static_cast<float>(column);
    next = static_cast<float>(map_column + 1);
    read();
  }
  __device__ void read() {
    const std::int64_t at = std::int64_t{map_row} * call.map_width + min(map_column, call.map_width - 1);
    scale = to_float(scales[at * call.scale.position]);
    shift = to_float(shifts[at * call.shift.position]);
  }
};

template <class T>
__device__ float silu(float x) {
  if constexpr (sizeof(T) == 4) {
    return x / (1.0f + expf(-x));
  } else {
    return __fdividef(x, 1.0f + __expf(-x));
  }
}

// Grid as of sum_slices.
template <class T, int Step, int Channels>
__global__ void __launch_bounds__(norm_threads)
    norm_slices(GroupNormCall call, NormShares shares, MapSteps steps, int slices) {
  constexpr int count = Step * Channels;
  const Share share = share_of<Step, Channels>(call, shares, vectors_of_a_result);
  if (!share.takes_part) return;
  const int positions = call.height * call.width;
  const T* const x = data_of<T>(call.x, share.clip, share.channel, share.frame);
  T* const y = const_cast<T*>(data_of<T>(call.y, share.clip, share.channel, share.frame));
  float values[vectors_of_a_result][count];
#pragma unroll
  for (int v = 0; v < vectors_of_a_result; ++v) {
    const int position = share.first + v * shares.positions;
    if (position < positions) load(x + position * call.x.position, values[v]);
  }
  float2 factors[Channels];
#pragma unroll
  for (int i = 0; i < Channels; ++i) factors[i] = factors_of(call, slices, share.clip)[share.channel + i];
  const bool mapped = call.scale.data != nullptr;
  const int map_frame = mapped ? map_frame_of(call, share.frame) : 0;
  const T* const scales = mapped ? data_of<T>(call.scale, share.clip, share.channel, map_frame) : nullptr;
  const T* const shifts = mapped ? data_of<T>(call.shift, share.clip, share.channel, map_frame) : nullptr;
#pragma unroll
  for (int v = 0; v < vectors_of_a_result; ++v) {
    const int position = share.first + v * shares.positions;
    if (position >= positions) continue;
#pragma unroll
    for (int i = 0; i < count; ++i) {
      const float2 factor = factors[i % Channels];
      values[v][i] = values[v][i] * factor.x + factor.y;
    }
    if (mapped && Channels > 1) {
      const int row = position / call.width;
      const std::int64_t at = std::int64_t{nearest(row, steps.down, call.map_height)} * call.map_width +
                              nearest(position - row * call.width, steps.right, call.map_width);
      float scale[count], shift[count];
      load(scales + at * call.scale.position, scale);
      load(shifts + at * call.shift.position, shift);
#pragma unroll
      for (int i = 0; i < count; ++i) values[v][i] = values[v][i] * scale[i] + shift[i];
    } else if (mapped) {
      MapReader<T> maps{call, steps, scales, shifts};
      maps.start(position);
#pragma unroll
      for (int i = 0; i < count; ++i) {
        if (i > 0) maps.advance();
        values[v][i] = values[v][i] * maps.scale + maps.shift;
      }
    }
#pragma unroll
    for (int i = 0; i < count; ++i) values[v][i] = silu<T>(values[v][i]);
    T* const to = y + position * call.y.position;
    if constexpr (count == vector) {
      store(to, values[v]);
    } else {
      narrow(values[v][0], *to);
    }
  }
}

template <class T, int Step, int Channels>
int launch(const GroupNormCall& call, cudaStream_t stream) {
  const NormShares shares = shares_of(call);
  const unsigned planes = static_cast<unsigned>(call.clips * call.frames * shares.unit_blocks);
  const int sum_chunks = shares.chunks(call, vectors_of_a_sum), slices = call.frames * sum_chunks;
  const MapSteps steps{static_cast<float>(call.map_height) / static_cast<float>(call.height),
                       static_cast<float>(call.map_width) / static_cast<float>(call.width)};
  start(sum_slices<T, Step, Channels>, dim3(planes * sum_chunks), norm_threads, stream, call, shares);
  start(finish_groups<T>, dim3(call.clips * call.groups), norm_threads, stream, call, slices);
  start(norm_slices<T, Step, Channels>, dim3(planes * shares.chunks(call, vectors_of_a_result)), norm_threads, stream,
        call, shares, steps, slices);
  return last_start_error();
}

template <class T>
int launch_on(const GroupNormCall& call, cudaStream_t stream) {
  switch (neighbours_of(call)) {
    case Neighbours::positions:
      return launch<T, vector, 1>(call, stream);
    case Neighbours::channels:
      return launch<T, 1, vector>(call, stream);
    case Neighbours::none:
      break;
  }
  return launch<T, 1, 1>(call, stream);
}

}  // namespace

int group_norm(const GroupNormCall& call, void* stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  return by_element(call.element, [&](auto one) { return launch_on<decltype(one)>(call, on); });
}

}  // namespace bitreel::cuda
