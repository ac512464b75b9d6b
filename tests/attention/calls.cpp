#include "tests/attention/calls.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>

#include <cmath>
#include <cstdlib>
#include <limits>

#include "attention/cuda/load_cuda.h"
#include "tests/attention/tolerances.h"

namespace bitreel {
namespace {

constexpr double canary = 12345;

std::string wanted_device() {
  const char* const name = std::getenv("BITREEL_TEST_DEVICE");
  return name == nullptr ? "cpu" : name;
}

// A tensor of `sizes` with the last stride 1, inside a buffer of canaries on every side.
struct Guarded {
  at::Tensor buffer, inside;

  Guarded(std::vector<std::int64_t> sizes, const at::TensorOptions& options, Poison poison) {
    constexpr std::int64_t margin = 3;
    std::vector<std::int64_t> larger = sizes;
    for (std::size_t i = 1; i < larger.size(); ++i) larger[i] += 2 * margin;
    buffer = at::full(larger, canary, options);
    inside = buffer;
    for (std::size_t i = 1; i < sizes.size(); ++i) {
      inside = inside.slice(static_cast<std::int64_t>(i), margin, margin + sizes[i]);
    }
    inside.fill_(poison == Poison::nan ? std::numeric_limits<double>::quiet_NaN() : 77.0);
  }

  [[nodiscard]] bool intact() const {
    const at::Tensor copy = buffer.clone();
    const at::Tensor expected = at::full_like(copy, canary);
    copy.as_strided(inside.sizes(), inside.strides(), inside.storage_offset()).fill_(canary);
    return at::equal(copy, expected);
  }
};

Guarded guarded_out(const Inputs& in, Poison poison) {
  return {in.q.sizes().vec(), in.q.options(), poison};
}

Guarded guarded_log_sum_exp(const Inputs& in, Poison poison) {
  return {in.q.sizes().slice(0, 3).vec(), in.q.options().dtype(at::kFloat), poison};
}

// Calls of a few thousand elements: threads cost more than they bring, most of all where others use the processor.
class OneThread : public testing::Environment {
 public:
  void SetUp() override { at::set_num_threads(1); }
};
const testing::Environment* const one_thread = testing::AddGlobalTestEnvironment(new OneThread);

// Asked for a GPU where there is none, every test skips.
class WantedDevice : public testing::Environment {
 public:
  void SetUp() override {
    if (wanted_device() != "cuda") return;
    if (const std::string missing = load_cuda(); !missing.empty()) GTEST_SKIP() << "no GPU to test on: " << missing;
  }
};
const testing::Environment* const wanted = testing::AddGlobalTestEnvironment(new WantedDevice);

}  // namespace

std::ostream& operator<<(std::ostream& out, const Shape& s) {
  return out << "batch " << s.batch << ", heads " << s.query_heads << "/" << s.key_heads << ", queries " << s.queries
             << ", keys " << s.keys << ", dim " << s.dim;
}

at::Device test_device() {
  // Before main() tests are listed with their inputs: then a GPU isn't in use yet.
  static const bool there = wanted_device() == "cuda" && load_cuda().empty();
  return there ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
}

Inputs on_test_device(const Inputs& in) {
  return {in.q.to(test_device()), in.k.to(test_device()), in.v.to(test_device())};
}

at::Tensor normal(at::IntArrayRef sizes, std::uint64_t seed) {
  return at::randn(sizes, at::detail::createCPUGenerator(seed), at::TensorOptions(at::kDouble)).to(at::kFloat);
}

Inputs random_inputs(const Shape& s, std::uint64_t seed, at::ScalarType dtype) {
  return on_test_device(cpu_inputs(s, seed, dtype));
}

Inputs cpu_inputs(const Shape& s, std::uint64_t seed, at::ScalarType dtype) {
  const auto made = [&](std::int64_t heads, std::int64_t tokens, std::uint64_t which) {
    return normal({s.batch, heads, tokens, s.dim}, seed * 3 + which).to(dtype);
  };
  return {made(s.query_heads, s.queries, 0), made(s.key_heads, s.keys, 1), made(s.key_heads, s.keys, 2)};
}

AttendCall call_of(const Inputs& in, const Asked& asked, Poison poison) {
  return {.q = in.q,
          .k = in.k,
          .v = in.v,
          .recipe = asked.recipe,
          .scale = asked.scale.value_or(1 / std::sqrt(static_cast<double>(in.q.size(3)))),
          .causality = asked.causality,
          .key_mask = asked.key_mask,
          .bias = asked.bias,
          .out = guarded_out(in, poison).inside,
          .log_sum_exp = guarded_log_sum_exp(in, poison).inside};
}

Answer run(const Backend& backend, const Inputs& in, const Asked& asked, Poison poison) {
  const Guarded out = guarded_out(in, poison), log_sum_exp = guarded_log_sum_exp(in, poison);
  const at::Tensor before[] = {in.q.clone(), in.k.clone(), in.v.clone()};
  AttendCall call = call_of(in, asked, poison);
  call.out = out.inside;
  call.log_sum_exp = log_sum_exp.inside;
  backend.run(call);
  EXPECT_TRUE(out.intact()) << backend.name << " wrote beside its output";
  EXPECT_TRUE(log_sum_exp.intact()) << backend.name << " wrote beside its log-sum-exp";
  const at::Tensor* const after[] = {&in.q, &in.k, &in.v};
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(at::allclose(*after[i], before[i], 0, 0, /*equal_nan=*/true)) << backend.name << " changed "
                                                                              << "qkv"[i];
  }
  return {out.inside, log_sum_exp.inside};
}

std::vector<const Backend*> those_that_can(const AttendCall& call) {
  std::vector<const Backend*> able;
  for (const Backend& backend : backends()) {
    if (obstacle(backend, call).empty()) able.push_back(&backend);
  }
  return able;
}

const std::vector<std::string>& recipe_texts() {
  static const std::vector<std::string> all = {
      "int8",
      "int4",
      "sage1-t",
      "sage1-b",
      "sage1-vt",
      "sage1-vb",
      "sage2-8b",
      "sage2-4b",
      "int8@cuda",
      "int4@cuda",
      "int8+channel-group=16",
      "int4+channel-group=32+exponential=exact",
      "int8+scales=block",
      "int8+scales=warp",
      "int8+scales=thread",
      "int8+scales=token",
      "int8+scales=strip",
      "int8+smooth-k=off",
      "int8+k-mean=sampled",
      "int8+smooth-q",
      "int8+smooth-v=off",
      "int8+v-mean=exact",
      "int8+p-levels=127",
      "int8+exponential=exact",
      "int8+maximum=running",
      "int8+key-block=64",
      "int8+key-block=128",
      "int8+key-block=128+exponential=exact+maximum=running+p-levels=127",
      "int4+scales=thread+smooth-v",
      "sage1-t+pv=fp16",
      "sage1-b+pv=fp16+smooth-v+key-block=128",
      "sage1-vb+smooth-v+smooth-q",
      "sage2-8b+pv=fp8-ones-row",
      "sage2-8b+scales=warp+maximum=block",
      "sage2-4b+pv=fp8-ones-row+smooth-v",
      "sage2-8b+pv=fp8-ones-row+smooth-v+v-mean=exact",
      "sage1-t+pv=fp16+v-mean=exact",
      "int8@cuda+v-mean=subtracted",
      "int8@cuda+k-mean=all",
      "int8@cuda+v-scale=all",
      "sage2-8b+k-mean=sampled",
      "sage2-8b+v-scale=sampled",
  };
  return all;
}

at::Tensor random_mask(const Inputs& in, double probability, std::uint64_t seed) {
  const at::Tensor draws =
      at::rand({in.k.size(0), in.k.size(2)}, at::detail::createCPUGenerator(seed), at::TensorOptions(at::kFloat));
  at::Tensor mask = draws < probability;
  mask.select(1, in.k.size(2) / 2).fill_(true);
  return mask.to(in.k.device());
}

testing::AssertionResult same_arithmetic(const Backend& backend, const Inputs& in, const Answer& oracle,
                                         const Answer& kernel) {
  const SameArithmetic allowed = allowed_of(oracle.out.scalar_type(), backend.name);
  const auto fp64 = [](const at::Tensor& x) { return x.to(at::kDouble); };
  const at::Tensor nan = oracle.out.isnan().any(-1);
  if (!at::equal(oracle.out.isnan(), kernel.out.isnan()) || !at::equal(oracle.log_sum_exp.isnan(), nan) ||
      !at::equal(kernel.log_sum_exp.isnan(), nan) || !at::equal(oracle.out.isinf(), kernel.out.isinf())) {
    return testing::AssertionFailure() << "NaN or infinity in other places";
  }
  // Where values cancel, an output is as exact as they are.
  const at::Tensor value = fp64(in.v).nan_to_num(0, 0, 0).norm(2, -1).max() / 4;
  const at::Tensor size = at::maximum(fp64(oracle.out).norm(2, -1), value),
                   error = (fp64(kernel.out) - fp64(oracle.out)).norm(2, -1);
  const at::Tensor lse = fp64(oracle.log_sum_exp), far = (fp64(kernel.log_sum_exp) - lse).abs();
  // Logits are rounded in proportion to their size, which log-sum-exp tells.
  const at::Tensor factor = (lse.abs() / 10).clamp_min(1).nan_to_num(1, 1, 1);
  const at::Tensor row = (error / size).masked_fill(error == 0, 0).masked_fill(nan, 0);
  const at::Tensor shift = far.masked_fill(kernel.log_sum_exp == oracle.log_sum_exp, 0).masked_fill(nan, 0);
  const at::Tensor other = (row > factor * allowed.row).logical_or(shift > factor * log_sum_exp_of(backend.name));
  const double count = static_cast<double>(other.sum().item<std::int64_t>());
  const double worst = at::maximum(row, shift).max().item<double>();
  if (count <= 1 + allowed.share_of_rows * static_cast<double>(other.numel()) && worst <= allowed.otherwise) {
    return testing::AssertionSuccess();
  }
  return testing::AssertionFailure() << count << " of " << other.numel() << " rows differ, the worst by "
                                     << row.max().item<double>() << ", in log-sum-exp by "
                                     << shift.max().item<double>();
}

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor difference = (a.to(at::kDouble) - b.to(at::kDouble)).abs();
  return difference.masked_fill((a == b).to(difference.device()), 0).max().item<double>();
}

}  // namespace bitreel
