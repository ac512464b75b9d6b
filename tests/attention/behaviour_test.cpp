// What every backend keeps to besides its numbers: layouts, threads, NaN and infinity, masked keys, log-sum-exp. That
// outputs are filled, nothing beside them is, and inputs stay as they are, is checked at every run of every test.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <new>

#include "attention/registry.h"
#include "attention/similarity.h"
#include "tests/attention/calls.h"
#include "tests/attention/threads.h"
#include "tests/attention/tolerances.h"

namespace bitreel {
namespace {

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr float infinity = std::numeric_limits<float>::infinity();

// A recipe of each family, and full precision as the empty text.
const std::vector<std::string>& arithmetics() {
  static const std::vector<std::string> all = {"", "int8", "int4", "sage1-t", "sage1-vb", "sage2-8b", "sage2-4b"};
  return all;
}

class EveryBackend : public testing::TestWithParam<std::string> {
 protected:
  // Calls `body` with each backend that can do a call of this arithmetic.
  template <class Body>
  void each(const Inputs& in, Asked asked, Body body) {
    if (!GetParam().empty()) asked.recipe = recipe_from(GetParam(), test_device().type());
    const auto able = those_that_can(call_of(in, asked));
    ASSERT_FALSE(able.empty());
    for (const Backend* backend : able) {
      SCOPED_TRACE(std::string(backend->name));
      body(*backend, asked);
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Arithmetics, EveryBackend, testing::ValuesIn(arithmetics()), [](const auto& info) {
  std::string name = info.param.empty() ? "full" : info.param;
  std::ranges::replace(name, '-', '_');
  return name;
});

// Tokens 128 MiB apart, in memory that is only there where it is touched.
class SparseTokens {
 public:
  SparseTokens()
      : memory_(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
  }
  ~SparseTokens() { ::munmap(memory_, bytes); }
  SparseTokens(const SparseTokens&) = delete;
  SparseTokens& operator=(const SparseTokens&) = delete;

  // The same values there.
  at::Tensor hold(const at::Tensor& packed) {
    const std::int64_t dim = packed.size(3);
    at::Tensor view =
        at::from_blob(static_cast<float*>(memory_) + used_, packed.sizes(), {0, 0, stride, 1}, at::kFloat);
    used_ += dim;
    return view.copy_(packed);
  }

  static constexpr std::int64_t tokens = 70, stride = std::int64_t{1} << 25;
  static_assert((tokens - 1) * stride > std::numeric_limits<std::int32_t>::max());

 private:
  static constexpr std::size_t bytes = tokens * stride * sizeof(float);
  void* memory_;
  std::int64_t used_ = 0;
};

TEST_P(EveryBackend, ReachesOffsetsBeyond32Bits) {
  if (!test_device().is_cpu()) GTEST_SKIP() << "memory that is only there where it is touched is the CPU's";
  const Inputs packed = random_inputs({.queries = SparseTokens::tokens, .keys = SparseTokens::tokens}, 1);
  SparseTokens memory;
  const Inputs far = {memory.hold(packed.q), memory.hold(packed.k), memory.hold(packed.v)};
  each(packed, {}, [&](const Backend& backend, const Asked& asked) {
    EXPECT_TRUE(at::equal(run(backend, packed, asked).out, run(backend, far, asked).out));
  });
}

TEST_P(EveryBackend, ReadsAnyStrides) {
  constexpr std::int64_t heads = 3, tokens = 90, dim = 40;
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    // As a fused projection leaves them: [B, N, 3, H, D].
    const at::Tensor fused = normal({2, tokens, 3, heads, dim}, 1).to(test_device(), dtype);
    const auto part = [&](std::int64_t which) { return fused.select(2, which).transpose(1, 2); };
    const Inputs views = {part(0), part(1), part(2)};
    const Inputs packed = {part(0).contiguous(), part(1).contiguous(), part(2).contiguous()};
    // Every second token of a padded buffer, and one head for all by a stride of zero.
    const at::Tensor wide = normal({2, heads, 2 * tokens, dim + 5}, 2).to(test_device(), dtype);
    const Inputs sparse = {
        wide.slice(2, 0, 2 * tokens, 2).slice(3, 5),
        wide.slice(1, 0, 1).slice(2, 1, 2 * tokens, 2).slice(3, 0, dim).expand({2, heads, tokens, dim}), views.v};
    const Inputs sparse_packed = {sparse.q.contiguous(), sparse.k.contiguous(), sparse.v.contiguous()};
    each(views, {}, [&](const Backend& backend, const Asked& asked) {
      EXPECT_LE(largest_difference(run(backend, views, asked).out, run(backend, packed, asked).out),
                full_precision(dtype) * (asked.recipe ? 0 : 1));
      EXPECT_LE(largest_difference(run(backend, sparse, asked).out, run(backend, sparse_packed, asked).out),
                full_precision(dtype) * (asked.recipe ? 0 : 1));
    });
  }
}

TEST_P(EveryBackend, GivesTheSameBitsAgainAndWithAnyNumberOfThreads) {
  const Inputs in = random_inputs({.batch = 2, .query_heads = 2, .key_heads = 1, .queries = 150, .keys = 200}, 3);
  each(in, {.causality = Causality::bottom_right}, [&](const Backend& backend, const Asked& asked) {
    const Answer first = run(backend, in, asked);
    for (const int threads : {1, 2}) {
      const Threads set(threads);
      const Answer again = run(backend, in, asked);
      EXPECT_TRUE(at::equal(first.out, again.out)) << threads << " threads";
      EXPECT_TRUE(at::equal(first.log_sum_exp, again.log_sum_exp)) << threads << " threads";
    }
  });
}

TEST_P(EveryBackend, TakesMaskedKeysForNotThere) {
  Inputs in = random_inputs({.batch = 2, .query_heads = 2, .key_heads = 1, .queries = 70, .keys = 210}, 4);
  const at::Tensor counted = at::cat({at::ones({100}), at::zeros({50}), at::ones({60})}).to(at::kBool);
  const at::Tensor mask = counted.expand({2, 210}).to(in.k.device());
  const auto without = [](const at::Tensor& x) { return at::cat({x.slice(2, 0, 100), x.slice(2, 150)}, 2); };
  const Inputs shorter = {in.q, without(in.k), without(in.v)};
  in.k.slice(2, 100, 150).fill_(nan);  // whatever a padded buffer holds
  in.v.slice(2, 100, 150).fill_(infinity);
  each(in, {}, [&](const Backend& backend, const Asked& asked) {
    Asked masked = asked;
    masked.key_mask = mask;
    const Answer of_masked = run(backend, in, masked), of_shorter = run(backend, shorter, asked);
    EXPECT_LE(largest_difference(of_masked.out, of_shorter.out), full_precision(at::kFloat));
    EXPECT_LE(largest_difference(of_masked.log_sum_exp, of_shorter.log_sum_exp), log_sum_exp);
  });
}

TEST_P(EveryBackend, GivesZerosToAQueryWithoutKeys) {
  const Inputs in = random_inputs({.batch = 2, .queries = 20, .keys = 12}, 5);
  at::Tensor mask = at::ones({2, 12}, at::TensorOptions(at::kBool).device(in.q.device()));
  mask[1].fill_(false);
  each(in, {.causality = Causality::bottom_right, .key_mask = mask}, [&](const Backend& backend, const Asked& asked) {
    const Answer answer = run(backend, in, asked);
    const at::Tensor alone = at::cat({answer.out[0][0].slice(0, 0, 8), answer.out[1][0]});
    EXPECT_TRUE(at::equal(alone, at::zeros_like(alone)));
    EXPECT_TRUE((answer.log_sum_exp[0][0].slice(0, 0, 8) == -infinity).all().item<bool>());
    EXPECT_TRUE((answer.log_sum_exp[1] == -infinity).all().item<bool>());
    EXPECT_TRUE((answer.out[0][0].slice(0, 8) != 0).any(1).all().item<bool>()) << "the others have keys";
    EXPECT_TRUE(answer.log_sum_exp[0][0].slice(0, 8).isfinite().all().item<bool>());
  });
}

TEST_P(EveryBackend, LetsPartsOfTheKeysBeMergedByLogSumExp) {
  const Inputs in = random_inputs({.query_heads = 2, .key_heads = 2, .queries = 50, .keys = 400}, 6);
  in.k.add_(5 * normal({64}, 7).to(in.k.device()));  // a mean that smoothing takes off, differently in each part
  const auto part = [&](std::int64_t begin, std::int64_t end) {
    return Inputs{in.q, in.k.slice(2, begin, end), in.v.slice(2, begin, end)};
  };
  const Answer truth = run(backend_named("reference"), in, {});
  each(in, {}, [&](const Backend& backend, const Asked& asked) {
    const Answer a = run(backend, part(0, 150), asked), b = run(backend, part(150, 400), asked);
    const at::Tensor whole = at::logaddexp(a.log_sum_exp, b.log_sum_exp);
    const at::Tensor merged =
        a.out * (a.log_sum_exp - whole).exp().unsqueeze(3) + b.out * (b.log_sum_exp - whole).exp().unsqueeze(3);
    const Precision precision = asked.recipe ? asked.recipe->precision : Precision::full;
    const int bits = bits_of(precision);
    const double relative = ((merged - truth.out).norm() / truth.out.norm()).item<double>();
    EXPECT_LE(relative, bits == full_bits ? full_precision(at::kFloat) : bits == 4 ? 0.3 : 0.06);
    EXPECT_LE(largest_difference(whole, truth.log_sum_exp),
              bits == full_bits ? log_sum_exp : log_sum_exp_of_quantized(precision));
  });
}

TEST_P(EveryBackend, TakesAnyScale) {
  const Inputs in = random_inputs({.queries = 30, .keys = 140}, 8);
  for (const double scale : {1e-4, 0.03, 0.5, -0.2}) {
    const Answer truth = run(backend_named("reference"), in, {.scale = scale});
    each(in, {.scale = scale}, [&](const Backend& backend, const Asked& asked) {
      const Answer answer = run(backend, in, asked);
      if (asked.recipe) {
        EXPECT_TRUE(same_arithmetic(backend, in, run(backend_named("emulated"), in, asked), answer)) << scale;
      } else {
        EXPECT_LE(largest_difference(answer.out, truth.out), full_precision(at::kFloat)) << scale;
      }
    });
  }
}

TEST(EveryFullPrecisionBackend, SpreadsNaNAndInfinityAsTheFormulaDoes) {
  const Inputs good = random_inputs({.batch = 2, .query_heads = 4, .key_heads = 2, .queries = 70, .keys = 270}, 9);
  struct Break {
    std::string what;
    std::function<void(const Inputs&)> in;
  };
  const Break breaks[] = {
      {"a query is NaN", [](const Inputs& in) { in.q[1][2][33][5] = nan; }},
      {"a query is infinite", [](const Inputs& in) { in.q[1][2][33][5] = infinity; }},
      {"a key is NaN", [](const Inputs& in) { in.k[0][1][200][7] = nan; }},
      {"a key is infinite", [](const Inputs& in) { in.k[0][1][3][7] = infinity; }},
      {"a value is NaN", [](const Inputs& in) { in.v[1][0][269][9] = nan; }},
      {"a value is infinite", [](const Inputs& in) { in.v[1][0][5][9] = -infinity; }},
      {"NaN has a payload", [](const Inputs& in) { in.k[0][0][1].view(at::kInt).fill_(0x7fc00001); }}};
  for (const Break& broken : breaks) {
    const Inputs in = {good.q.clone(), good.k.clone(), good.v.clone()};
    broken.in(in);
    const Answer truth = run(backend_named("reference"), in, {});
    ASSERT_TRUE(truth.out.isfinite().logical_not().any().item<bool>()) << broken.what;
    for (const Backend* backend : those_that_can(call_of(in, {}))) {
      const Answer answer = run(*backend, in, {}, Poison::number);
      EXPECT_TRUE(at::equal(answer.out.isnan(), truth.out.isnan())) << backend->name << ": " << broken.what;
      EXPECT_TRUE(at::equal(answer.out.isinf(), truth.out.isinf())) << backend->name << ": " << broken.what;
    }
  }
}

class EveryQuantizingBackend : public EveryBackend {};

INSTANTIATE_TEST_SUITE_P(Arithmetics, EveryQuantizingBackend,
                         testing::ValuesIn(arithmetics().begin() + 1, arithmetics().end()), [](const auto& info) {
                           std::string name = info.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST_P(EveryQuantizingBackend, MakesTheRowOfABrokenQueryNaNAndNoOther) {
  for (const float broken : {nan, infinity, -infinity}) {
    Inputs in = random_inputs({.query_heads = 2, .key_heads = 2, .queries = 150, .keys = 80}, 9);
    in.q[0][1][77][3] = broken;
    Inputs zeroed = {in.q.clone(), in.k, in.v};
    zeroed.q[0][1][77].zero_();
    each(in, {}, [&](const Backend& backend, const Asked& asked) {
      const Answer answer = run(backend, in, asked, Poison::number), expected = run(backend, zeroed, asked);
      EXPECT_TRUE(answer.out[0][1][77].isnan().all().item<bool>()) << broken;
      EXPECT_TRUE(answer.log_sum_exp[0][1][77].isnan().item<bool>()) << broken;
      answer.out[0][1][77].copy_(expected.out[0][1][77]);
      answer.log_sum_exp[0][1][77] = expected.log_sum_exp[0][1][77];
      EXPECT_TRUE(at::equal(answer.out, expected.out)) << "to the others it is a row of zeros";
      EXPECT_TRUE(at::equal(answer.log_sum_exp, expected.log_sum_exp));
    });
  }
}

TEST_P(EveryQuantizingBackend, MakesTheHeadOfABrokenKeyOrValueNaNAndNoOther) {
  for (const float broken : {nan, infinity, -infinity}) {
    struct Place {
      bool in_value;
      std::int64_t token;
    };
    // Of keys one that counts in every mean, and one that may not.
    for (const Place& place : {Place{false, 265}, Place{false, 230}, Place{true, 265}}) {
      const bool in_value = place.in_value;
      Inputs in = random_inputs({.batch = 2, .query_heads = 4, .key_heads = 2, .queries = 150, .keys = 270}, 10);
      const Answer before =
          run(backend_named("emulated"), in, {.recipe = recipe_from(GetParam(), test_device().type())});
      (in_value ? in.v : in.k)[1][0][place.token][7] = broken;
      each(in, {.causality = Causality::bottom_right}, [&](const Backend& backend, const Asked& asked) {
        const Answer answer = run(backend, in, asked, Poison::number);
        EXPECT_TRUE(answer.out[1].slice(0, 0, 2).isnan().all().item<bool>()) << broken << " in value " << in_value;
        EXPECT_TRUE(answer.log_sum_exp[1].slice(0, 0, 2).isnan().all().item<bool>());
        for (const at::Tensor& others : {answer.out[0], answer.out[1].slice(0, 2)}) {
          EXPECT_TRUE(others.isfinite().all().item<bool>());
        }
      });
    }
  }
}

TEST_P(EveryQuantizingBackend, TakesTheLargestAndTheLeastNumbersOfBf16) {
  const Inputs normal_sized = random_inputs({.queries = 40, .keys = 130}, 12, at::kBFloat16);
  for (const double size : {5e37, 1e-37}) {
    const Inputs in = {normal_sized.q, normal_sized.k, normal_sized.v * size};
    const Inputs one = {normal_sized.q, normal_sized.k, in.v.to(at::kDouble).div(size).to(at::kBFloat16)};
    each(in, {}, [&](const Backend& backend, const Asked& asked) {
      const at::Tensor out = run(backend, in, asked).out;
      EXPECT_TRUE(out.isfinite().all().item<bool>()) << size;
      if (size > 1) {  // below 1e-30 values are zeros: recipe.h
        const at::Tensor expected = run(backend, one, asked).out;
        EXPECT_LE(largest_difference(out.to(at::kDouble) / size, expected), 0.05) << size;
      }
    });
  }
}

// As a few tokens of some trained models have them; one key takes all.
TEST_P(EveryQuantizingBackend, TakesLogitsOfMillions) {
  const Inputs normal_sized = random_inputs({.queries = 40, .keys = 330}, 12, at::kBFloat16);
  const Recipe recipe = recipe_from(GetParam(), test_device().type());
  for (const int size : {30, 100, 1000}) {
    const Inputs in = {normal_sized.q * size, normal_sized.k * size, normal_sized.v};
    const at::Tensor oracle = run(backend_named("emulated"), in, {.recipe = recipe}).out;
    each(in, {}, [&](const Backend& backend, const Asked& asked) {
      const at::Tensor out = run(backend, in, asked).out;
      EXPECT_TRUE(out.isfinite().all().item<bool>()) << size;
      EXPECT_GE(similarity(oracle, out).cosine, 0.995) << size;
    });
  }
}

TEST_P(EveryQuantizingBackend, GivesZeroForValuesOfZeros) {
  Inputs in = random_inputs({.queries = 20, .keys = 70}, 13);
  in.v.zero_();
  in.k.zero_();
  in.q.slice(2, 0, 10).zero_();
  each(in, {}, [&](const Backend& backend, const Asked& asked) {
    const Answer answer = run(backend, in, asked);
    EXPECT_TRUE(at::equal(answer.out, at::zeros_like(answer.out)));
    EXPECT_LE(largest_difference(answer.log_sum_exp, at::full_like(answer.log_sum_exp, std::log(70.0))), 1e-5);
  });
}

}  // namespace
}  // namespace bitreel
