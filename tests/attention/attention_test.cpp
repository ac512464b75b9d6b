// LibTorch's attention against the formula in fp64, and the formula against numbers worked out by hand.
#include "attention/attention.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cmath>

#include "attention/reference.h"
#include "tests/error_text.h"

namespace bitreel {
namespace {

using testing::HasSubstr;

at::Tensor random(at::IntArrayRef shape, std::uint64_t seed, at::ScalarType dtype = at::kDouble) {
  return at::randn(shape, at::detail::createCPUGenerator(seed), at::TensorOptions(at::kDouble)).to(dtype);
}

double worst(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

TEST(AttendReference, IsTheSoftmaxWeightedMeanOfTheValues) {
  const auto fp64 = at::TensorOptions(at::kDouble);
  const at::Tensor q = at::tensor({1.0, 2.0}, fp64).view({1, 1, 1, 2});
  const at::Tensor k = at::tensor({1.0, 0.0, 0.0, 1.0}, fp64).view({1, 1, 2, 2});
  const at::Tensor v = at::tensor({10.0, 0.0, 0.0, 20.0}, fp64).view({1, 1, 2, 2});
  const at::Tensor bias = at::tensor({0.25, 0.0}, fp64).view({1, 2});
  const double first = std::exp(0.5 * 1.0 + 0.25), second = std::exp(0.5 * 2.0);
  const at::Tensor out = attend_reference(q, k, v, 0.5, bias).flatten();
  EXPECT_NEAR(out[0].item<double>(), 10 * first / (first + second), 1e-14);
  EXPECT_NEAR(out[1].item<double>(), 20 * second / (first + second), 1e-14);
}

struct Shape {
  std::int64_t batch, heads, queries, keys, dim;
};

class Attend : public testing::TestWithParam<std::tuple<at::ScalarType, Shape>> {
 protected:
  // Values are of order one, logits reach 40 at scale 1: rounding them moves weights by that many fp32 epsilons.
  static double allowed(at::ScalarType dtype) {
    if (dtype == at::kDouble) return 1e-13;
    if (dtype == at::kFloat) return 2e-5;
    return dtype == at::kHalf ? 4e-3 : 3e-2;
  }

  at::ScalarType dtype = std::get<0>(GetParam());
  Shape shape = std::get<1>(GetParam());
  at::Tensor q = random({shape.batch, shape.heads, shape.queries, shape.dim}, 1, dtype);
  at::Tensor k = random({shape.batch, shape.heads, shape.keys, shape.dim}, 2, dtype);
  at::Tensor v = random({shape.batch, shape.heads, shape.keys, shape.dim}, 3, dtype);
};

TEST_P(Attend, EqualsTheReferenceWithEveryScaleAndBias) {
  const at::Tensor copies[] = {q.clone(), k.clone(), v.clone()};
  const at::Tensor per_key = random({1, 1, 1, shape.keys}, 4, dtype).expand({1, 1, shape.queries, shape.keys});
  const at::Tensor per_head = random({1, shape.heads, shape.queries, shape.keys}, 5, dtype);
  for (const std::optional<double> scale : {std::optional<double>(), std::optional(1.0), std::optional(0.01)}) {
    for (const at::Tensor& bias : {at::Tensor(), per_key, per_head}) {
      SCOPED_TRACE(testing::Message() << "scale " << scale.value_or(-1) << ", bias " << bias.defined());
      const at::Tensor ours =
          attend(q, k, v, {.backend = AttentionBackend::sdpa, .site = {}, .scale = scale, .bias = bias});
      const double default_scale = 1.0 / std::sqrt(static_cast<double>(shape.dim));
      const at::Tensor expected = attend_reference(q, k, v, scale.value_or(default_scale), bias);
      EXPECT_EQ(ours.scalar_type(), dtype);
      ASSERT_EQ(ours.sizes().vec(), (std::vector{shape.batch, shape.heads, shape.queries, shape.dim}));
      EXPECT_LE(worst(ours, expected), allowed(dtype));
      const at::Tensor reference =
          attend(q, k, v, {.backend = AttentionBackend::reference, .site = {}, .scale = scale, .bias = bias});
      EXPECT_TRUE(at::equal(reference, expected)) << "the reference backend is the reference";
    }
  }
  EXPECT_TRUE(at::equal(q, copies[0]) && at::equal(k, copies[1]) && at::equal(v, copies[2])) << "inputs changed";
}

INSTANTIATE_TEST_SUITE_P(DtypesAndShapes, Attend,
                         testing::Combine(testing::Values(at::kDouble, at::kFloat, at::kBFloat16, at::kHalf),
                                          testing::Values(Shape{1, 1, 1, 1, 8}, Shape{2, 3, 5, 5, 16},
                                                          Shape{1, 2, 7, 33, 64}, Shape{2, 1, 130, 70, 64},
                                                          Shape{1, 2, 9, 4, 80}, Shape{1, 1, 33, 257, 128})),
                         [](const auto& info) {
                           const Shape& s = std::get<1>(info.param);
                           return std::string(c10::toString(std::get<0>(info.param))) + "_" +
                                  std::to_string(s.queries) + "_queries_" + std::to_string(s.keys) + "_keys_of_" +
                                  std::to_string(s.dim);
                         });

TEST(AttendErrors, NameAllThreeShapesAndDtypes) {
  const at::Tensor good = random({1, 2, 3, 8}, 1, at::kFloat);
  struct Case {
    at::Tensor q, k, v;
  };
  const Case cases[] = {
      {good[0], good, good},                                                             // no batch
      {good, good, random({1, 2, 4, 8}, 1, at::kFloat)},                                 // fewer keys than values
      {good, random({1, 2, 3, 4}, 1, at::kFloat), random({1, 2, 3, 4}, 1, at::kFloat)},  // another dim
      {random({2, 2, 3, 8}, 1, at::kFloat), good, good},                                 // another batch
      {random({1, 4, 3, 8}, 1, at::kFloat), good, good},                                 // another number of heads
      {good, good.to(at::kDouble), good},                                                // k's dtype
      {good, good, good.to(at::kHalf)},                                                  // v's dtype
  };
  for (const auto& [q, k, v] : cases) {
    EXPECT_THAT(error_text([&, &q = q, &k = k, &v = v] { (void)attend(q, k, v); }),
                testing::AllOf(HasSubstr("attend: q ["), HasSubstr("expected q [B, H, Nq, D]")));
  }
  EXPECT_THAT(error_text([&] { (void)attend(good, good, good.to(at::kHalf)); }), HasSubstr("v [1, 2, 3, 8] Half"));
}

TEST(AttentionNames, AreThoseOfTheCommandLine) {
  EXPECT_EQ(name_of(AttentionBackend::sdpa), "sdpa");
  EXPECT_EQ(name_of(AttentionBackend::reference), "reference");
  EXPECT_EQ(name_of(Precision::full), "full");
  EXPECT_EQ(precision_from("full"), Precision::full);
  EXPECT_EQ(precision_from("half"), std::nullopt);
}

}  // namespace
}  // namespace bitreel
