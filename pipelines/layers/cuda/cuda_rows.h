// Rows of features on a GPU through the plugin's kernels (rows_plugin.h): when they can be, and with which pointers.
//
//   if (cuda::rows_take(x)) rows = cuda::quantize_rows(x, LinearPrecision::fp8, 448);
//
//   check_rows(cuda::loaded_rows().gated_add(call, cuda::current_stream(x)), "gated add");
//
// Without a GPU in use or without the plugin nothing is taken, and callers compose the operations of LibTorch's.
#pragma once

#include <ATen/core/Tensor.h>

#include "pipelines/layers/cuda/rows_plugin.h"
#include "pipelines/layers/quantized_linear.h"

namespace bitreel::cuda {

// Whether there are kernels for this device.
bool has_plugin(at::Device device);
// And for rows on this device in this dtype: bf16 and fp16.
bool has_rows(at::Device device, at::ScalarType dtype);
// And these rows are whole vectors, in place or after contiguous().
bool rows_take(const at::Tensor& x);
// 90 for 9.0; 0 where no GPU is in use or the plugin is missing.
int compute_capability();

const RowsPlugin& loaded_rows();
RowElement row_element(const at::Tensor& x);
void* current_stream(const at::Tensor& x);
// Error naming the kernel unless `error` is 0.
void check_rows(int error, const char* kernel);

QuantizedRows quantize_rows(const at::Tensor& x, LinearPrecision precision, double largest,
                            RowActivation activation = RowActivation::none);
// Room for as many rows as x has, and how a kernel is told of it. x [rows, features].
QuantizedRows room_in_eight_bits(const at::Tensor& x, LinearPrecision precision);
EightBits eight_bits(const QuantizedRows& room, double largest);

}  // namespace bitreel::cuda
