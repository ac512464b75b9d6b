#include "tests/attention/protocol.h"

#include <ATen/ATen.h>

#include <cmath>

namespace bitreel {
namespace {

constexpr std::int64_t set_queries = 128, set_keys = 640, set_channels = 64;

// Queries and keys of deviation 1 have logits of deviation 1.
struct Set {
  at::Tensor q, k, v;

  explicit Set(std::uint64_t seed)
      : q(normal({1, 1, set_queries, set_channels}, seed)),
        k(normal({1, 1, set_keys, set_channels}, seed + 1000)),
        v(normal({1, 1, set_keys, set_channels}, seed + 2000)) {}

  [[nodiscard]] at::Tensor channel(const at::Tensor& x, std::int64_t c) const { return x.select(3, c); }
  [[nodiscard]] InputSet named(std::string name, at::ScalarType dtype = at::kFloat) const {
    return {.name = std::move(name), .in = {q.to(dtype), k.to(dtype), v.to(dtype)}};
  }
};

InputSet uniform() {
  Set set(1);
  for (at::Tensor* x : {&set.q, &set.k, &set.v}) *x = at::erf(*x / std::sqrt(2.0));
  return set.named("Uniform");
}

InputSet with_logits_of(double deviation, std::uint64_t seed, std::string name) {
  Set set(seed);
  set.q *= std::sqrt(deviation);
  set.k *= std::sqrt(deviation);
  return set.named(std::move(name));
}

// Shared by all keys: what smoothing k is for. The worst case of CogVideoX's layers.
InputSet biased_keys() {
  Set set(5);
  set.k += 10 * normal({set_channels}, 6);
  return set.named("BiasedKeys");
}

// Some channels of K far from zero and wide, where queries are wide too.
InputSet biased_keys_with_wide_channels() {
  Set set(7);
  set.q *= 2;
  set.q.slice(3, 0, 4).mul_(2).add_(3);
  for (std::int64_t c = 0; c < 4; ++c) set.channel(set.k, c).mul_(2).add_(c % 2 == 0 ? -8 : 8);
  return set.named("BiasedKeysWithWideChannels");
}

// Large with either sign, where no mean helps.
InputSet outlier_channel() {
  Set set(9);
  set.channel(set.k, 3) *= 10;
  return set.named("OutlierChannel");
}

// The same against a side that is small there: the logits do not show what the scales must cover.
InputSet hidden_outlier_channels() {
  Set set(10);
  for (const std::int64_t c : {3, 40}) {
    set.channel(set.k, c) *= 50;
    set.channel(set.q, c) *= 0.02;
  }
  for (const std::int64_t c : {11, 50}) {
    set.channel(set.q, c) *= 10;
    set.channel(set.k, c) *= 0.1;
  }
  InputSet named = set.named("HiddenOutlierChannels");
  named.hardness = Hardness::beyond_integers;
  return named;
}

// Each query has one key that it looks for, 12 above the others' mean.
InputSet nearly_one_hot() {
  Set set(11);
  const at::Tensor wanted = set.k.slice(2, 0, set_keys, set_keys / set_queries);
  set.q = 0.25 * set.q + wanted * (12 * std::sqrt(set_channels) / wanted.square().sum(3, /*keepdim=*/true));
  return set.named("NearlyOneHot");
}

InputSet equal_keys() {
  Set set(13);
  set.k = set.k.slice(2, 0, 1).expand({1, 1, set_keys, set_channels}).contiguous();
  return set.named("EqualKeys");
}

InputSet giant_key() {
  Set set(15);
  set.k.select(2, 400) *= 100;
  return set.named("GiantKey");
}

// All logits near -290; smoothing k takes that away.
InputSet very_negative_logits() {
  Set set(17);
  const at::Tensor direction = normal({set_channels}, 18);
  set.q += 6 * direction;
  set.k -= 6 * direction;
  return set.named("VeryNegativeLogits");
}

InputSet zeros() {
  Set set(19);
  set.q.slice(2, 0, 32).zero_();
  set.k.slice(2, 128, 192).zero_();
  set.v.slice(2, 256, 320).zero_();
  set.channel(set.v, 5).zero_();
  return set.named("ZeroBlocksAndChannels");
}

InputSet huge_values() {
  Set set(21);
  set.v *= 5e37;
  return set.named("HugeValues", at::kBFloat16);
}

InputSet tiny_values() {
  Set set(23);
  set.v *= 1e-20;
  return set.named("TinyValues");
}

InputSet biased_values() {
  Set set(25);
  set.v += 20 * normal({set_channels}, 26);
  return set.named("BiasedValues");
}

// Later tokens are larger: a scale that is one tile off shows.
InputSet ramps() {
  Set set(27);
  for (at::Tensor* x : {&set.q, &set.k}) *x *= at::linspace(0.25, 2, x->size(2)).unsqueeze(1);
  return set.named("Ramps");
}

}  // namespace

const std::vector<InputSet>& protocol_inputs() {
  static const std::vector<InputSet> all = {uniform(),
                                            with_logits_of(1, 2, "LogitDeviation1"),
                                            with_logits_of(3, 3, "LogitDeviation3"),
                                            with_logits_of(8, 4, "LogitDeviation8"),
                                            biased_keys(),
                                            biased_keys_with_wide_channels(),
                                            outlier_channel(),
                                            hidden_outlier_channels(),
                                            nearly_one_hot(),
                                            equal_keys(),
                                            giant_key(),
                                            very_negative_logits(),
                                            zeros(),
                                            huge_values(),
                                            tiny_values(),
                                            biased_values(),
                                            ramps()};
  return all;
}

}  // namespace bitreel
