// Attention on what a real model asks of it: queries, keys and values of the default model while it denoises.
#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <cstdint>

#include "attention/attention.h"
#include "attention/similarity.h"
#include "pipelines/checkpoint/checkpoint.h"
#include "pipelines/cogvideox/pipeline.h"
#include "tests/attention/tolerances.h"

namespace bitreel::test {
namespace {

void expect_close(const Similarity& close, const Quality& allowed) {
  EXPECT_GE(close.cosine, allowed.least_cosine);
  EXPECT_LE(close.relative_l2, allowed.relative_l2);
}

TEST(CapturedAttention, KeepsTheBoundsOfSyntheticInputsInEveryLayerOfEveryStep) {
  CogVideoX model(Checkpoint::open("assets/pocket"), {});
  Request request = model.default_request();
  request.prompt = "a small red circle orbits on a navy background";
  request.seed = 7;
  request.steps = 3;
  int calls = 0;
  const auto measure = [&](const DenoisingStep& step) -> LayerAttention {
    return [&, step](std::int64_t layer, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
      const at::Tensor exact = attend(q.to(at::kFloat), k.to(at::kFloat), v.to(at::kFloat));
      for (const Precision precision : {Precision::int8, Precision::int4}) {
        SCOPED_TRACE(testing::Message() << name_of(precision) << ", timestep " << step.timestep << ", layer " << layer);
        expect_close(similarity(exact, attend(q, k, v, {.precision = precision})), quality_of(precision));
      }
      ++calls;
      return exact.to(q.scalar_type());
    };
  };
  (void)model.denoise(request, model.encode(request), {.attention_of_step = measure});
  EXPECT_EQ(calls, 3 * model.config().transformer.num_layers);
}

}  // namespace
}  // namespace bitreel::test
