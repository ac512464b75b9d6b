// How a model runs, whatever it is asked for: number format, device, and which of two equal implementations.
//
//   const RunOptions options{.dtype = default_dtype(checkpoint.weights("transformer"), device), .device = device};
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <string_view>

#include "pipelines/checkpoint/loader.h"
#include "pipelines/checkpoint/weights.h"
#include "pipelines/layers/linear_precision.h"

namespace bitreel {

// fused: our kernels, which read and write every value once. composed: the same as LibTorch operations, readable.
enum class Elementwise { fused, composed };

std::string_view name_of(Elementwise path);

// Whether a GPU's steps are recorded and played again (step_graphs.h): the same results, fewer launches.
enum class CudaGraphs { recorded, off };

// Which weights lie on a GPU. none: those of the phases that are loaded. model: those of the phase that works, the
// others wait in host memory for their turn. layers: of models of many blocks two of them, which the others replace in
// turn. All give the same bits. It means something on a GPU only.
enum class Offload { none, model, layers };

std::string_view name_of(Offload offload);

// Decoding in overlapping tiles of half the sample size: less memory, other numbers. automatic: where the device's free
// memory is too little for the whole, which is said (DecodeSink::on_remark).
enum class Tiling { off, on, automatic };

struct RunOptions {
  std::optional<at::ScalarType> dtype = {};  // as the model's weights are stored when absent: default_dtype
  at::Device device = at::kCPU;
  std::string attention_backend = {};  // of a denoising without attention_of_step, by name; the best when empty
  Elementwise elementwise = Elementwise::fused;
  LinearOptions linear = {};  // of the denoiser's large products
  CudaGraphs graphs = CudaGraphs::off;
  Tiling vae_tiling = Tiling::off;
  ConvolutionLayout vae_layout = ConvolutionLayout::planar;
  Offload offload = Offload::none;
};

// The dtype that most of the bytes are stored in.
at::ScalarType stored_dtype(const Weights& weights);

// The stored one. On a CPU bf16 in place of fp16, which is converted to fp32 and back at every step; fp32 in place of
// both without AVX-512, where products in bf16 take fifty times as long.
at::ScalarType default_dtype(const Weights& weights, at::Device device);

// Channels last where a GPU's fused norms are: convolutions are faster so, but LibTorch's group norm is not.
ConvolutionLayout default_vae_layout(at::Device device, Elementwise elementwise);

}  // namespace bitreel
