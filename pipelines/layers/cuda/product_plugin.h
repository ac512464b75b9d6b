// What libbitreel_cuda.so offers for products with a linear layer's weight: cuBLASLt's, of whose algorithms it takes
// the one with tiles of 128x224 where that is among those which cuBLASLt proposes, else its first. cuda_product.h says
// for which products that is the better choice, and fills the call from tensors.
//
//   const auto* products = cuda::plugin_table<cuda::ProductPlugin>(cuda::product_entry, cuda::product_version);
//   const int status = products->multiply(call, stream);
//   if (status != 0) throw Error(products->status_text(status));
//
// As rows_plugin.h: nothing on the device is allocated or waited for; an equal choice on every GPU of a kind, as
// nothing is timed. Sums are fp32, results are rounded once, after bias and GELU.
//
// A plugin that was built without cuBLASLt's headers has no such entry.
#pragma once

#include <cstdint>

#include "pipelines/layers/cuda/rows_plugin.h"

namespace bitreel::cuda {

enum class AfterProduct : std::int32_t { nothing, gelu_tanh };

// What an algorithm is chosen by, once in a process.
struct ProductShape {
  std::int32_t device;  // the current one
  RowElement element;
  AfterProduct after;
  std::int64_t rows, in, out;
};

inline constexpr std::int64_t product_alignment = 256;  // of x, weight and y in bytes: what cuBLASLt reckons with
inline constexpr std::int64_t product_workspace = 32LL << 20;  // bytes, as LibTorch gives it on Hopper

struct ProductCall {
  ProductShape shape;
  const void *x, *weight, *bias;  // [rows, in], [out, in], [out], packed
  void* y;                        // [rows, out]
  void* workspace;                // product_workspace bytes
};

struct ProductPlugin {
  std::int64_t version;
  // A cublasStatus_t, 0 for none that is wrong.
  int (*multiply)(const ProductCall& call, void* stream);
  const char* (*status_text)(int status);
};

inline constexpr std::int64_t product_version = 1'000 + sizeof(ProductCall);
inline constexpr const char* product_entry = "bitreel_cuda_products";

}  // namespace bitreel::cuda
