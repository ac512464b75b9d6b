#include "tests/golden.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>

#include "base/json_file.h"
#include "pipelines/checkpoint/safetensors.h"

namespace bitreel {
namespace {

std::vector<std::int64_t> unravel(std::int64_t flat, at::IntArrayRef shape) {
  std::vector<std::int64_t> index(shape.size());
  for (std::size_t i = shape.size(); i-- > 0;) {
    index[i] = flat % shape[i];
    flat /= shape[i];
  }
  return index;
}

}  // namespace

Golden::Golden(const std::string& name)
    : folder_(std::filesystem::path("tests/golden") / name), json_(read_json(folder_ / "case.json")) {}

at::Tensor Golden::tensor(const std::string& file, const std::string& name) const {
  return SafetensorsFile::open(folder_ / (file + ".safetensors")).tensor(name);
}

at::ScalarType dtype_from(const std::string& name) {
  if (name == "bf16") return at::kBFloat16;
  if (name == "fp16") return at::kHalf;
  return at::kFloat;
}

double worst_share(const at::Tensor& a, const at::Tensor& b) {
  constexpr double infinite = std::numeric_limits<double>::infinity();
  const at::Tensor ours = a.to(at::kCPU, at::kDouble);
  const at::Tensor golden = b.to(at::kCPU, at::kDouble);
  if (ours.sizes() != golden.sizes() || !at::isfinite(ours).all().item<bool>()) return infinite;
  return (ours - golden).abs().max().item<double>() / golden.abs().max().item<double>();
}

void Golden::expect(const at::Tensor& ours, const std::string& file, const std::string& name, double share) const {
  const at::Tensor golden = tensor(file, name);
  ASSERT_EQ(ours.sizes().vec(), golden.sizes().vec()) << folder_ / file << ": " << name;
  const double worst = worst_share(ours, golden);
  if (worst <= share) return;
  const at::Tensor a = ours.to(at::kCPU, at::kDouble).contiguous(), b = golden.to(at::kDouble).contiguous();
  const std::int64_t flat = (a - b).abs().argmax().item<std::int64_t>();
  ADD_FAILURE() << fmt::format(
      "{}/{}.safetensors: {}: off by {:.3g} of the maximum, allowed {:.3g}; worst at [{}]: {} instead of {}",
      folder_.string(), file, name, worst, share, fmt::join(unravel(flat, golden.sizes()), ", "),
      a.flatten()[flat].item<double>(), b.flatten()[flat].item<double>());
}

}  // namespace bitreel
