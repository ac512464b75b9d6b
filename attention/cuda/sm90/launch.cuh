// Starts attention_kernel: the maps that TMA reads tensors by, the block's shared memory, one block per multiprocessor.
#pragma once

#include <cuda.h>
#include <cudaTypedefs.h>
#include <cuda_runtime.h>

#include <algorithm>

#include "attention/cuda/sm90/kernel.cuh"

namespace bitreel::cuda::sm90 {

// The driver's function, asked of the runtime: the plugin does not link with libcuda.
inline cudaError_t find_encoder(PFN_cuTensorMapEncodeTiled_v12000& encode) {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found{};
  const cudaError_t error =
      cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &found);
  if (error != cudaSuccess) return error;
  encode = reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(function);
  return found == cudaDriverEntryPointSuccess ? cudaSuccess : cudaErrorSymbolNotFound;
}

// Of bytes [heads, rows, row_bytes], in boxes of box_rows rows of box_bytes each, swizzled by as much.
inline bool map_rows(PFN_cuTensorMapEncodeTiled_v12000 encode, CUtensorMap& map, void* data, std::int64_t row_bytes,
                     std::int64_t rows, std::int64_t heads, int box_bytes, int box_rows) {
  const cuuint64_t sizes[3] = {static_cast<cuuint64_t>(row_bytes), static_cast<cuuint64_t>(rows),
                               static_cast<cuuint64_t>(heads)};
  const cuuint64_t strides[2] = {sizes[0], sizes[0] * sizes[1]};
  const cuuint32_t box[3] = {static_cast<cuuint32_t>(box_bytes), static_cast<cuuint32_t>(box_rows), 1};
  const cuuint32_t steps[3] = {1, 1, 1};
  return encode(&map, CU_TENSOR_MAP_DATA_TYPE_UINT8, 3, data, sizes, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
                box_bytes == 64 ? CU_TENSOR_MAP_SWIZZLE_64B : CU_TENSOR_MAP_SWIZZLE_128B,
                CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

template <int dim, class Tuning>
cudaError_t launch(const PackedCall& call, cudaStream_t stream) {
  using L = Layout<dim, Tuning>;
  PFN_cuTensorMapEncodeTiled_v12000 encode = nullptr;
  if (const cudaError_t error = find_encoder(encode); error != cudaSuccess) return error;

  Parameters p{};
  p.call = call;
  p.query_tiles = (call.queries + L::rows - 1) / L::rows;
  p.tiles = p.query_tiles * call.head_count;
  p.key_tiles = static_cast<int>(padded(call.keys) / tile_keys);
  const std::int64_t key_heads = std::int64_t{call.batch} * call.key_heads;
  const std::int64_t query_heads = std::int64_t{call.batch} * call.query_heads;
  if (!map_rows(encode, p.queries, call.q, dim, padded(call.queries), query_heads, dim, L::rows) ||
      !map_rows(encode, p.keys, call.k, dim, padded(call.keys), key_heads, dim, tile_keys) ||
      !map_rows(encode, p.values, call.v, padded(call.keys), L::value_rows, key_heads, tile_keys, L::value_rows)) {
    return cudaErrorInvalidValue;
  }

  int device = 0, multiprocessors = 0;
  if (const cudaError_t error = cudaGetDevice(&device); error != cudaSuccess) return error;
  if (const cudaError_t error = cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device);
      error != cudaSuccess) {
    return error;
  }
  const auto kernel = attention_kernel<dim, Tuning>;
  if (const cudaError_t error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, L::bytes);
      error != cudaSuccess) {
    return error;
  }
  kernel<<<std::min(multiprocessors, p.tiles), L::threads, L::bytes, stream>>>(p);
  return cudaGetLastError();
}

}  // namespace bitreel::cuda::sm90
