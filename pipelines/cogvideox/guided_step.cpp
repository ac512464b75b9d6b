#include "pipelines/cogvideox/guided_step.h"

#include <ATen/ATen.h>

#include "pipelines/cogvideox/guidance.h"
#include "pipelines/layers/cuda/cuda_group_norm.h"
#include "pipelines/layers/cuda/cuda_rows.h"

namespace bitreel {
namespace {

bool takes_step(const at::Tensor& predictions, const at::Tensor& sample, const StepTerms& terms) {
  constexpr std::int64_t vector = 8;
  return terms.type == PredictionType::v_prediction && cuda::has_plugin(sample.device()) &&
         cuda::element_of(sample.scalar_type()) && predictions.scalar_type() == sample.scalar_type() &&
         sample.numel() % vector == 0 && sample.numel() > 0;
}

Moved step_on_cuda(const at::Tensor& predictions, double guidance, const at::Tensor& sample, const StepTerms& terms) {
  const at::Tensor both = predictions.contiguous(), x = sample.contiguous();
  const std::vector<at::Tensor> branches = both.split(1);
  const at::Tensor drawn = terms.drawn.defined() ? terms.drawn.to(x.device()).contiguous() : terms.drawn;
  const at::Tensor previous = terms.previous.defined() ? terms.previous.contiguous() : terms.previous;
  Moved moved{.next = at::empty_like(x), .original = at::empty(x.sizes(), x.options().dtype(at::kFloat))};
  const auto narrowed = [](double term) { return static_cast<float>(term); };
  const cuda::GuidedStepCall call{.element = cuda::element_of(x.scalar_type()).value(),
                                  .numbers = x.numel(),
                                  .prediction = {branches.front().const_data_ptr(),
                                                 branches.size() > 1 ? branches.back().const_data_ptr() : nullptr},
                                  .sample = x.const_data_ptr(),
                                  .drawn = drawn.defined() ? drawn.const_data_ptr() : nullptr,
                                  .previous = previous.defined() ? previous.const_data_ptr<float>() : nullptr,
                                  .next = moved.next.mutable_data_ptr(),
                                  .original = moved.original.mutable_data_ptr<float>(),
                                  .guidance = narrowed(guidance),
                                  .signal = narrowed(terms.signal),
                                  .noise = narrowed(terms.noise),
                                  .keep = narrowed(terms.keep),
                                  .pull = narrowed(terms.pull),
                                  .fresh = narrowed(terms.fresh),
                                  .stale = narrowed(terms.stale),
                                  .stir = narrowed(terms.stir)};
  cuda::check_rows(cuda::loaded_rows().guided_step(call, cuda::current_stream(x)), "guided step");
  return moved;
}

}  // namespace

Moved guided_step(const at::Tensor& predictions, double guidance, const at::Tensor& sample, const StepTerms& terms,
                  Elementwise path) {
  if (path == Elementwise::fused && takes_step(predictions, sample, terms))
    return step_on_cuda(predictions, guidance, sample, terms);
  const at::Tensor wide = predictions.to(at::kFloat);
  return moved_by(terms, wide.size(0) > 1 ? guided(wide, guidance) : wide, sample);
}

}  // namespace bitreel
