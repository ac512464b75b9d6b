// Calls drawn at random, each run by every backend that can and compared with the oracle of its recipe, or with the
// formula. BITREEL_FUZZ_SEED and BITREEL_FUZZ_CASES choose others; a failure prints the seed and the call.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <random>
#include <sstream>

#include "attention/registry.h"
#include "tests/attention/calls.h"
#include "tests/attention/tolerances.h"

namespace bitreel {
namespace {

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : generator_(seed) {}

  // In [low, high]. Not std::uniform_int_distribution, which differs between libraries.
  std::int64_t number(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(generator_() % static_cast<std::uint64_t>(high - low + 1));
  }
  bool one_in(std::int64_t n) { return number(1, n) == 1; }
  template <class T>
  T one_of(std::initializer_list<T> values) {
    return values.begin()[number(0, static_cast<std::int64_t>(values.size()) - 1)];
  }
  double between(double low, double high) { return low + (high - low) * static_cast<double>(number(0, 1000)) / 1000; }
  std::uint64_t seed() { return generator_(); }

 private:
  std::mt19937_64 generator_;
};

// Tokens near the sizes of tiles and blocks more often than elsewhere.
std::int64_t tokens(Draw& draw, std::int64_t most) {
  if (!draw.one_in(3)) return draw.number(1, std::min<std::int64_t>(most, 70));
  return std::min(most, draw.one_of<std::int64_t>({16, 32, 64, 128, 192, 256}) + draw.number(-1, 1));
}

Recipe drawn_recipe(Draw& draw) {
  const auto granularity = [&] {
    return draw.one_of(
        {Granularity::block, Granularity::warp, Granularity::thread, Granularity::token, Granularity::strip});
  };
  const auto smoothing = [&] { return draw.one_in(2) ? Smoothing::on : Smoothing::off; };
  Recipe recipe;
  recipe.qk = draw.one_in(3) ? QkFormat::int4 : QkFormat::int8;
  recipe.q_scales = granularity();
  recipe.k_scales = granularity();
  recipe.smooth_q = smoothing();
  recipe.smooth_k = smoothing();
  recipe.smooth_v = smoothing();
  recipe.k_mean = draw.one_of({KeyMean::all, KeyMean::sampled});
  recipe.p_levels = draw.one_of({127, 255});
  recipe.exponential = draw.one_of({Exponential::exact, Exponential::table});
  recipe.maximum = draw.one_of({Maximum::running, Maximum::block});
  recipe.key_block = draw.one_of<std::int64_t>({64, 128, 256});
  if (draw.one_in(4)) {
    recipe.exponential = Exponential::exact;
    recipe.v_scale = draw.one_of({ValueScale::all, ValueScale::sampled});
    recipe.v_mean = draw.one_of({ValueMean::subtracted, ValueMean::exact});
    recipe.pv = draw.one_of({PvFormat::fp16, PvFormat::fp16_fp16_sum, PvFormat::fp8_two_level, PvFormat::fp8_ones_row});
  }
  return recipe;
}

// [B, H, N, D] in one of the ways that it may lie in memory, with another tensor's numbers around it.
at::Tensor drawn_tensor(Draw& draw, std::int64_t batch, std::int64_t heads, std::int64_t count, std::int64_t dim,
                        at::ScalarType dtype) {
  const std::int64_t pad = draw.number(0, 3), step = draw.number(1, 2);
  at::Tensor x;
  if (draw.one_in(2)) {
    x = normal({batch, count * step, heads, dim + pad}, draw.seed()).transpose(1, 2);
  } else {
    x = normal({batch, heads, count * step, dim + pad}, draw.seed());
  }
  x = (x * draw.between(0.1, 2) + draw.between(-1, 1)).to(test_device(), dtype);
  return x.slice(2, 0, count * step, step).slice(3, pad);
}

struct Call {
  Inputs in;
  Asked asked;
};

Call drawn_call(Draw& draw) {
  const std::int64_t batch = draw.number(1, 2), key_heads = draw.number(1, 2), shared_by = draw.number(1, 2);
  const std::int64_t queries = tokens(draw, 200), keys = tokens(draw, 300);
  const std::int64_t dim = draw.one_in(2) ? draw.one_of<std::int64_t>({64, 128}) : draw.number(1, 128);
  const at::ScalarType dtype = draw.one_of({at::kFloat, at::kHalf, at::kBFloat16});
  Call call;
  call.in = {drawn_tensor(draw, batch, key_heads * shared_by, queries, dim, dtype),
             drawn_tensor(draw, batch, key_heads, keys, dim, dtype),
             drawn_tensor(draw, batch, key_heads, keys, dim, dtype)};
  call.asked.causality = draw.one_in(3) ? Causality::bottom_right : Causality::none;
  if (draw.one_in(3)) call.asked.key_mask = random_mask(call.in, draw.between(0, 1), draw.seed());
  if (draw.one_in(4)) call.asked.scale = draw.between(-0.3, 0.3);
  if (!draw.one_in(8)) {
    call.asked.recipe = drawn_recipe(draw);
  } else if (draw.one_in(2)) {
    call.asked.bias = normal({draw.one_in(2) ? 1 : batch, 1, queries, keys}, draw.seed()).to(test_device(), dtype);
  }
  return call;
}

std::string words(const Call& call) {
  const auto tensor = [](const at::Tensor& x) {
    std::ostringstream out;
    out << x.sizes() << " strides " << x.strides() << " " << x.scalar_type();
    return out.str();
  };
  std::ostringstream out;
  out << "q " << tensor(call.in.q) << ", k " << tensor(call.in.k) << ", v " << tensor(call.in.v)
      << (call.asked.causality == Causality::none ? "" : ", causal")
      << (call.asked.key_mask.defined() ? ", masked" : "") << (call.asked.bias.defined() ? ", bias" : "") << ", scale "
      << call.asked.scale.value_or(0) << ", "
      << (call.asked.recipe ? summary_of(*call.asked.recipe) : "full precision");
  return out.str();
}

void compare_full_precision(const Call& call) {
  const Answer truth = run(backend_named("reference"), call.in, call.asked);
  const double size = std::max(1.0, call.in.v.to(at::kDouble).abs().max().item<double>());
  for (const Backend* backend : those_that_can(call_of(call.in, call.asked))) {
    const Answer answer = run(*backend, call.in, call.asked);
    EXPECT_LE(largest_difference(answer.out, truth.out), size * full_precision(call.in.q.scalar_type()))
        << backend->name;
    EXPECT_LE(largest_difference(answer.log_sum_exp, truth.log_sum_exp), 1e-4) << backend->name;
  }
}

void compare_quantized(const Call& call) {
  const Answer oracle = run(backend_named("emulated"), call.in, call.asked);
  for (const Backend* backend : those_that_can(call_of(call.in, call.asked))) {
    if (backend->name == backend_named("emulated").name) continue;
    EXPECT_TRUE(same_arithmetic(*backend, call.in, oracle, run(*backend, call.in, call.asked))) << backend->name;
  }
}

TEST(Fuzz, EveryBackendAgreesOnCallsDrawnAtRandom) {
  const std::uint64_t first = from_environment("BITREEL_FUZZ_SEED", 1);
  const std::uint64_t count = from_environment("BITREEL_FUZZ_CASES", 3000);
  for (std::uint64_t seed = first; seed < first + count && !HasFailure(); ++seed) {
    Draw draw(seed);
    const Call call = drawn_call(draw);
    SCOPED_TRACE("BITREEL_FUZZ_SEED=" + std::to_string(seed) + " BITREEL_FUZZ_CASES=1: " + words(call));
    call.asked.recipe ? compare_quantized(call) : compare_full_precision(call);
  }
}

}  // namespace
}  // namespace bitreel
