// Calls with(T{}) for the type of an element, and returns what that does.
//
//   return by_element(call.element, [&](auto one) { return launch<decltype(one)>(call, stream); });
#pragma once

#include <cuda_runtime.h>

#include "attention/cuda/elements.cuh"
#include "pipelines/layers/cuda/group_norm_call.h"

namespace bitreel::cuda {

template <class With>
int by_element(VolumeElement element, const With& with) {
  switch (element) {
    case VolumeElement::fp32:
      return with(float{});
    case VolumeElement::bf16:
      return with(__nv_bfloat16{});
    case VolumeElement::fp16:
      return with(__half{});
  }
  return cudaErrorInvalidValue;
}

}  // namespace bitreel::cuda
