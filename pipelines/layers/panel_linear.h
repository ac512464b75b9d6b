// A linear map in full precision by kernels of our own, on the processors where they beat LibTorch's
// (products/products.h).
//
//   const PanelLinear map(weight);                  // where it takes(weight), [out, in], which may go then
//   const at::Tensor y = map(x, bias, Gelu::erf);   // [..., in] -> [..., out], bias [out] or undefined
//
// fp32 and bf16, the weight's. Sums are fp32 and rounded once, after bias and GELU. The same bits for any number of
// threads, and for rows alone or in a batch.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "pipelines/layers/linear_precision.h"
#include "pipelines/layers/products/products.h"

namespace bitreel {

class PanelLinear {
 public:
  // Whether there are kernels for such tensors here.
  static bool runs_on(at::Device device, at::ScalarType dtype);
  static bool takes(const at::Tensor& weight) { return runs_on(weight.device(), weight.scalar_type()); }

  explicit PanelLinear(const at::Tensor& weight);
  // Error unless x has the weight's dtype and inputs.
  [[nodiscard]] at::Tensor operator()(const at::Tensor& x, const at::Tensor& bias, Gelu gelu = Gelu::none) const;
  void list_tensors(std::vector<at::Tensor*>& list) { list.push_back(&panels_); }

 private:
  at::Tensor panels_;  // [out / 24, in, 24], filled up with zeros
  std::int64_t in_, out_;
};

// Whether a Linear that is packed so multiplies by one.
bool multiplies_in_panels(const LinearOptions& linear, at::Device device, at::ScalarType dtype);

}  // namespace bitreel
