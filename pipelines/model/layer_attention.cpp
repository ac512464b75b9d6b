#include "pipelines/model/layer_attention.h"

#include "attention/attention.h"

namespace bitreel {

LayerAttention full_attention(const std::string& backend) {
  return [backend](std::int64_t, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
    return attend(q, k, v, {.backend = backend});
  };
}

}  // namespace bitreel
