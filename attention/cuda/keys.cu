// What has to be known of all keys and values of a head before one can be quantized: which count, their means, the
// largest value of each channel, and whether one is NaN or infinite.
//
// Two steps, so that the order of additions never depends on who comes first: CTAs sum chunks of tokens in fp64, then one
// CTA a head adds the chunks in order. fp64 sums of bf16 or fp16 numbers are almost always exact in any order, which
// makes means, rounded to fp32, the oracle's bit for bit.
#include "attention/cuda/elements.cuh"
#include "attention/cuda/quantize.cuh"

namespace bitreel::cuda {
namespace {

constexpr int scan_threads = 1024;

// One CTA a batch: places of keys that count, in order, and how many count before each place.
__global__ void __launch_bounds__(scan_threads) compact_keys(SourceCall source, PackedCall call) {
  __shared__ int warp_counts[32];
  const int batch = blockIdx.x, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const bool* const mask = source.key_mask + batch * source.mask_batch_stride;
  std::int32_t* const kept = source.kept + std::int64_t{batch} * call.keys;
  std::int32_t* const seen = call.keys_seen + std::int64_t{batch} * (call.keys + 1);
  int before = 0;
  for (int first = 0; first < call.keys; first += scan_threads) {
    const int key = first + threadIdx.x;
    const bool counts = key < call.keys && mask[key * source.mask_key_stride];
    const unsigned ballot = __ballot_sync(~0u, counts);
    if (lane == 0) warp_counts[warp] = __popc(ballot);
    __syncthreads();
    int here = before, all = 0;
    for (int w = 0; w < 32; ++w) {
      here += w < warp ? warp_counts[w] : 0;
      all += warp_counts[w];
    }
    here += __popc(ballot & ((1u << lane) - 1));
    if (key < call.keys) seen[key] = here;
    if (counts) kept[here] = key;
    before += all;
    __syncthreads();
  }
  if (threadIdx.x == 0) {
    seen[call.keys] = before;
    call.key_count[batch] = before;
  }
}

constexpr int sum_threads = 256;

// grid (chunks, heads, k and v).
template <class T, int Dim>
__global__ void __launch_bounds__(sum_threads) sum_chunks(SourceCall source, PackedCall call) {
  constexpr int threads_of_row = Dim / 8, rows = sum_threads / threads_of_row;
  __shared__ double sums[rows][Dim];
  __shared__ float least[rows][Dim], most[rows][Dim];
  const int head = blockIdx.y, batch = head / call.key_heads;
  const int count = call.key_count == nullptr ? call.keys : call.key_count[batch];
  const int first = blockIdx.x * statistics_chunk, last = min(first + statistics_chunk, count);
  const HeadRows<T> x = head_rows<T>(blockIdx.z == 0 ? source.k : source.v, batch, head % call.key_heads, source.dim, Dim);
  const std::int32_t* const kept =
      source.key_mask == nullptr ? nullptr : source.kept + std::int64_t{batch} * call.keys;
  const int row = threadIdx.x / threads_of_row, channel = threadIdx.x % threads_of_row * 8;

  double sum[8] = {};
  float low[8], high[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    low[i] = INFINITY;
    high[i] = -INFINITY;
  }
#pragma unroll 4
  for (int token = first + row; token < last; token += rows) {
    float values[8];
    x.load(kept == nullptr ? token : kept[token], channel, values);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      sum[i] += static_cast<double>(values[i]);
      low[i] = fminf(low[i], values[i]);
      high[i] = fmaxf(high[i], values[i]);
    }
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    sums[row][channel + i] = sum[i];
    least[row][channel + i] = low[i];
    most[row][channel + i] = high[i];
  }
  __syncthreads();
  for (int c = threadIdx.x; c < Dim; c += sum_threads) {
    double total = 0;
    float lowest = INFINITY, highest = -INFINITY;
    for (int r = 0; r < rows; ++r) {
      total += sums[r][c];
      lowest = fminf(lowest, least[r][c]);
      highest = fmaxf(highest, most[r][c]);
    }
    const std::int64_t chunk = (std::int64_t{head} * 2 + blockIdx.z) * gridDim.x + blockIdx.x;
    source.sums[chunk * Dim + c] = total;
    source.extremes[chunk * 2 * Dim + c] = lowest;
    source.extremes[chunk * 2 * Dim + Dim + c] = highest;
  }
}

struct Channel {
  float mean, amax;
  bool finite;
};

template <int Dim, int Parts>
__device__ Channel add_chunks(const SourceCall& source, int chunks, int head, int which, int count, Smoothing smoothing,
                              double (*sums)[Dim], float (*extremes)[2][Dim]) {
  const int c = threadIdx.x % Dim, part = threadIdx.x / Dim;
  const std::int64_t first = (std::int64_t{head} * 2 + which) * chunks;
  double sum = 0;
  float low = INFINITY, high = -INFINITY;
  for (int chunk = part; chunk < chunks; chunk += Parts) {
    const std::int64_t at = first + chunk;
    sum += source.sums[at * Dim + c];
    low = fminf(low, source.extremes[at * 2 * Dim + c]);
    high = fmaxf(high, source.extremes[at * 2 * Dim + Dim + c]);
  }
  __syncthreads();
  sums[part][c] = sum;
  extremes[part][0][c] = low;
  extremes[part][1][c] = high;
  __syncthreads();
  if (part != 0 || count == 0) return {0, 0, true};
  for (int p = 1; p < Parts; ++p) {
    sum += sums[p][c];
    low = fminf(low, extremes[p][0][c]);
    high = fmaxf(high, extremes[p][1][c]);
  }
  const float mean = smoothing == Smoothing::on ? static_cast<float>(sum / static_cast<double>(count)) : 0.0f;
  // Subtracting and rounding keep order: no value between is farther from zero than these.
  const float farthest_below = low - mean, farthest_above = high - mean;
  return {.mean = mean,
          .amax = fmaxf(fabsf(farthest_below), fabsf(farthest_above)),
          .finite = isfinite(sum) && isfinite(farthest_below) && isfinite(farthest_above)};
}

// What values are divided by, or with bytes what they are multiplied with; and the scale.
__device__ float2 divisor_and_scale(float amax, const Recipe& recipe) {
  const float largest = fmaxf(amax, least_amax);
  switch (recipe.pv) {
    case PvFormat::int8:
      return make_float2(127.0f / largest, largest / 127.0f);
    case PvFormat::fp8_two_level:
    case PvFormat::fp8_ones_row:
      return make_float2(e4m3_max / largest, largest / e4m3_max);
    default:
      break;
  }
  int exponent = 0;  // the largest value, times the keys of a block, to (2^14, 2^15]
  const double mantissa = frexp(static_cast<double>(largest) * static_cast<double>(recipe.key_block), &exponent);
  const float power = ldexpf(1.0f, exponent - (mantissa == 0.5 ? 1 : 0) - 15);
  return make_float2(power, power);
}

// One CTA a head.
template <int Dim, int Parts>
__global__ void __launch_bounds__(Dim* Parts) finish_statistics(SourceCall source, Recipe recipe, PackedCall call, int chunks) {
  __shared__ double sums[Parts][Dim];
  __shared__ float extremes[Parts][2][Dim];
  const int head = blockIdx.x;
  const int count = call.key_count == nullptr ? call.keys : call.key_count[head / call.key_heads];
  const Channel key = add_chunks<Dim, Parts>(source, chunks, head, 0, count, recipe.smooth_k, sums, extremes);
  const Channel value = add_chunks<Dim, Parts>(source, chunks, head, 1, count, recipe.smooth_v, sums, extremes);
  const bool broken = __syncthreads_or(!key.finite || !value.finite) != 0;
  if (threadIdx.x >= Dim) return;
  const std::int64_t at = std::int64_t{head} * Dim + threadIdx.x;
  const float2 divisor = divisor_and_scale(value.amax, recipe);
  call.k_mean[at] = key.mean;
  call.v_mean[at] = value.mean;
  source.v_divisors[at] = divisor.x;
  call.v_scales[at] = broken ? NAN : divisor.y;
}

template <class T, int Dim>
int launch(const SourceCall& source, const Recipe& recipe, const PackedCall& call, cudaStream_t stream) {
  constexpr int parts = 512 / Dim;
  const int chunks = (call.keys + statistics_chunk - 1) / statistics_chunk, heads = call.batch * call.key_heads;
  sum_chunks<T, Dim><<<dim3(chunks, heads, 2), sum_threads, 0, stream>>>(source, call);
  finish_statistics<Dim, parts><<<heads, Dim * parts, 0, stream>>>(source, recipe, call, chunks);
  return cudaGetLastError();
}

}  // namespace

int statistics_of_keys(const SourceCall& source, const Recipe& recipe, const PackedCall& call, cudaStream_t stream) {
  if (source.key_mask != nullptr) compact_keys<<<call.batch, scan_threads, 0, stream>>>(source, call);
  return with_element_and_dim(source.element, call.dim, [&](auto element, auto dim) {
    return launch<decltype(element), decltype(dim)::value>(source, recipe, call, stream);
  });
}

}  // namespace bitreel::cuda
