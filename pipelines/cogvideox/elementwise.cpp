#include "pipelines/cogvideox/elementwise.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "pipelines/cogvideox/elementwise_cuda.h"
#include "pipelines/layers/cuda/cuda_rows.h"
#include "pipelines/layers/rows/rows.h"

namespace bitreel {
namespace {

// The composed forms: the formulas as LibTorch operations.
namespace composed {

struct Halves {
  at::Tensor text, video;
};

Halves halves_of(const at::Tensor& x, std::int64_t text_tokens, std::int64_t dim) {
  return {x.narrow(dim, 0, text_tokens), x.narrow(dim, text_tokens, x.size(dim) - text_tokens)};
}

at::Tensor modulated_norm(const LayerNorm& norm, const at::Tensor& x, const Modulations& m) {
  const Halves normed = halves_of(norm(x), m.text_tokens, 1);
  return at::cat({normed.text * (1 + m.text.scale) + m.text.shift, normed.video * (1 + m.video.scale) + m.video.shift},
                 1);
}

at::Tensor gated_add(const at::Tensor& x, const at::Tensor& update, const Modulations& m) {
  const Halves base = halves_of(x, m.text_tokens, 1), change = halves_of(update, m.text_tokens, 1);
  return at::cat({base.text + m.text.gate * change.text, base.video + m.video.gate * change.video}, 1);
}

at::Tensor rotated(const at::Tensor& x, std::int64_t text_tokens, const Rotary& rotary) {
  if (!rotary.cos.defined()) return x;
  const Halves rows = halves_of(x, text_tokens, 2);
  const at::Tensor video = rows.video.to(at::kFloat);
  const at::Tensor pairs = video.unflatten(3, {-1, 2});
  const at::Tensor turned = at::stack({-pairs.select(-1, 1), pairs.select(-1, 0)}, -1).flatten(3);
  const auto of_both = [](const at::Tensor& of_pairs) { return of_pairs.repeat_interleave(2, 1); };
  const at::Tensor in_place = video * of_both(rotary.cos) + turned * of_both(rotary.sin);
  return at::cat({rows.text, in_place.to(x.scalar_type())}, 2);
}

QueryKeyValue split_heads(const at::Tensor& qkv, const LayerNorm& norm_q, const LayerNorm& norm_k, const Rotary& rotary,
                          std::int64_t text_tokens) {
  const at::Tensor heads = qkv.permute({2, 0, 3, 1, 4});
  return {rotated(norm_q(heads[0]), text_tokens, rotary), rotated(norm_k(heads[1]), text_tokens, rotary), heads[2]};
}

}  // namespace composed

// The fused forms: rows spread over threads. T is the row kernels' name for the tensor's dtype.
template <class T>
class Fused {
 public:
  static at::Tensor modulated_norm(const LayerNorm& norm, const at::Tensor& x, const Modulations& m) {
    at::Tensor y = at::empty_like(x);
    over_rows(x, m, [&](const Modulation& half, std::int64_t clip, std::int64_t offset, std::int64_t rows) {
      const NormModulate<T> p{data(norm.weight),
                              data(norm.bias),
                              data(half.shift[clip]),
                              data(half.scale[clip]),
                              static_cast<float>(norm.eps),
                              x.size(2)};
      row_kernels<T>().norm_modulate(data(x) + offset, p, rows, mutable_data(y) + offset);
    });
    return y;
  }

  static at::Tensor gated_add(const at::Tensor& x, const at::Tensor& update, const Modulations& m) {
    at::Tensor y = at::empty_like(x);
    over_rows(x, m, [&](const Modulation& half, std::int64_t clip, std::int64_t offset, std::int64_t rows) {
      row_kernels<T>().gated_add(data(x) + offset, data(update) + offset, data(half.gate[clip]), x.size(2), rows,
                                 mutable_data(y) + offset);
    });
    return y;
  }

  static QueryKeyValue split_heads(const at::Tensor& qkv, const LayerNorm& norm_q, const LayerNorm& norm_k,
                                   const Rotary& rotary, std::int64_t text_tokens) {
    return {normed_head(qkv, 0, norm_q, rotary, text_tokens), normed_head(qkv, 1, norm_k, rotary, text_tokens),
            qkv.select(2, 2).transpose(1, 2)};
  }

  static at::Tensor gelu_tanh(const at::Tensor& x) {
    T* values = mutable_data(x);
    at::parallel_for(0, x.numel(), values_per_task, [&](std::int64_t begin, std::int64_t end) {
      row_kernels<T>().gelu_tanh(values + begin, end - begin);
    });
    return x;
  }

 private:
  static const T* data(const at::Tensor& x) { return static_cast<const T*>(x.const_data_ptr()); }
  static T* mutable_data(const at::Tensor& x) { return static_cast<T*>(x.mutable_data_ptr()); }

  // Calls work(modulation, clip, element offset, rows) on stretches of rows that share a modulation.
  template <class Work>
  static void over_rows(const at::Tensor& x, const Modulations& m, const Work& work) {
    const std::int64_t tokens = x.size(1), dim = x.size(2);
    at::parallel_for(0, x.size(0) * tokens, std::max<std::int64_t>(1, values_per_task / dim),
                     [&](std::int64_t begin, std::int64_t end) {
                       while (begin < end) {
                         const std::int64_t clip = begin / tokens, row = begin % tokens;
                         const bool text = row < m.text_tokens;
                         const std::int64_t rows = std::min(end - begin, (text ? m.text_tokens : tokens) - row);
                         work(text ? m.text : m.video, clip, begin * dim, rows);
                         begin += rows;
                       }
                     });
  }

  // One of q, k out of qkv [B, N, 3, H, D], packed as [B, H, N, D].
  static at::Tensor normed_head(const at::Tensor& qkv, std::int64_t which, const LayerNorm& norm, const Rotary& rotary,
                                std::int64_t text_tokens) {
    const std::int64_t batch = qkv.size(0), tokens = qkv.size(1), heads = qkv.size(3), dim = qkv.size(4);
    at::Tensor y = at::empty({batch, heads, tokens, dim}, qkv.options());
    const std::int64_t row_stride = 3 * heads * dim;
    at::parallel_for(0, batch * heads * tokens, std::max<std::int64_t>(1, values_per_task / dim),
                     [&](std::int64_t begin, std::int64_t end) {
                       while (begin < end) {
                         const std::int64_t head = begin / tokens, row = begin % tokens;
                         const bool rotate = rotary.cos.defined() && row >= text_tokens;
                         const std::int64_t limit = rotary.cos.defined() && row < text_tokens ? text_tokens : tokens;
                         const std::int64_t rows = std::min(end - begin, limit - row);
                         const std::int64_t angle = rotate ? (row - text_tokens) * dim / 2 : 0;
                         const NormRotate<T> p{data(norm.weight),
                                               data(norm.bias),
                                               rotate ? rotary.cos.const_data_ptr<float>() + angle : nullptr,
                                               rotate ? rotary.sin.const_data_ptr<float>() + angle : nullptr,
                                               static_cast<float>(norm.eps),
                                               dim,
                                               row_stride};
                         const std::int64_t from =
                             (head / heads * tokens + row) * row_stride + (which * heads + head % heads) * dim;
                         row_kernels<T>().norm_rotate(data(qkv) + from, p, rows, mutable_data(y) + begin * dim);
                         begin += rows;
                       }
                     });
    return y;
  }
};

// Picks the form: call(Fused<T>{}) on a CPU that has one for this tensor, else otherwise().
template <class Call, class Otherwise>
auto dispatch(const at::Tensor& x, Elementwise path, const Call& call, const Otherwise& otherwise) {
  if (!x.is_cpu() || path_of(path, x.device(), x.scalar_type()) == Elementwise::composed) return otherwise();
  if (x.scalar_type() == at::kBFloat16) return call(Fused<Bf16>{});
  return call(Fused<float>{});
}

}  // namespace

Elementwise path_of(Elementwise wanted, at::Device device, at::ScalarType dtype) {
  const bool has_kernels =
      device.is_cpu() ? dtype == at::kBFloat16 || dtype == at::kFloat : cuda::has_rows(device, dtype);
  return has_kernels ? wanted : Elementwise::composed;
}

at::Tensor modulated_norm(const LayerNorm& norm, const at::Tensor& x, const Modulations& modulations,
                          Elementwise path) {
  if (path == Elementwise::fused && on_cuda::takes_rows(x))
    return std::get<at::Tensor>(on_cuda::normed({.x = x}, norm, modulations, {}).rows);
  return dispatch(
      x, path, [&](auto fused) { return fused.modulated_norm(norm, x.contiguous(), modulations); },
      [&] { return composed::modulated_norm(norm, x, modulations); });
}

at::Tensor gated_add(const at::Tensor& x, const at::Tensor& update, const Modulations& modulations, Elementwise path) {
  if (path == Elementwise::fused && on_cuda::takes_rows(x))
    return on_cuda::gated_add(x.contiguous(), update.contiguous(), modulations);
  return dispatch(
      x, path, [&](auto fused) { return fused.gated_add(x.contiguous(), update.contiguous(), modulations); },
      [&] { return composed::gated_add(x, update, modulations); });
}

at::Tensor sum_of(const Residual& residual, Elementwise path) {
  return residual.update.defined() ? gated_add(residual.x, residual.update, residual.gates, path) : residual.x;
}

Normed normed(const Residual& residual, const LayerNorm& norm, const Modulations& modulations,
              const std::optional<RowFormat>& format, Elementwise path) {
  if (path == Elementwise::fused && on_cuda::takes_rows(residual.x))
    return on_cuda::normed(residual, norm, modulations, format);
  const at::Tensor sum = sum_of(residual, path);
  const at::Tensor rows = modulated_norm(norm, sum, modulations, path);
  if (format) return {sum, quantize_rows(rows.flatten(0, 1), *format)};
  return {sum, rows};
}

QueryKeyValue split_heads(const at::Tensor& qkv, const LayerNorm& norm_q, const LayerNorm& norm_k, const Rotary& rotary,
                          std::int64_t text_tokens, Elementwise path) {
  if (path == Elementwise::fused && on_cuda::takes_heads(qkv))
    return on_cuda::split_heads(qkv.contiguous(), norm_q, norm_k, rotary, text_tokens);
  return dispatch(
      qkv, path, [&](auto fused) { return fused.split_heads(qkv.contiguous(), norm_q, norm_k, rotary, text_tokens); },
      [&] { return composed::split_heads(qkv, norm_q, norm_k, rotary, text_tokens); });
}

at::Tensor gelu_tanh(const at::Tensor& x, Elementwise path) {
  return dispatch(
      x, path, [&](auto fused) { return fused.gelu_tanh(x.contiguous()); }, [&] { return at::gelu(x, "tanh"); });
}

}  // namespace bitreel
