#include "pipelines/checkpoint/loader.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "pipelines/checkpoint/finite.h"
#include "pipelines/checkpoint/made_up.h"

namespace bitreel {

std::string_view name_of(ConvolutionLayout layout) {
  return layout == ConvolutionLayout::planar ? "planar" : "channels-last";
}

Scope Loader::root() {
  return {*this, ""};
}

at::Tensor Loader::take(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype) {
  if (const auto& seed = weights_.made_up_seed())
    return laid_out(made_up_tensor(name, shape, at::TensorOptions(dtype).device(options_.device), *seed));
  used_.insert(name);
  const auto load = [&] { return from_file(name, shape, dtype); };
  return laid_out(options_.host ? options_.host->on_device(name, dtype, load) : load());
}

std::optional<at::Tensor> Loader::on_device(const at::Tensor& stored, at::ScalarType dtype) {
  if (!options_.device.is_cpu()) {
    if (!upload_) upload_.emplace(options_.device);
    return (*upload_)(stored, dtype);
  }
  if (!all_finite(stored)) return std::nullopt;
  return stored.to(dtype);
}

at::Tensor Loader::from_file(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype) {
  const at::Tensor stored = weights_.get(name, shape);
  if (!at::isFloatingType(stored.scalar_type())) {
    throw Error(fmt::format("{}: tensor {} is stored as {}, expected a floating-point dtype", weights_.component(),
                            name, c10::toString(stored.scalar_type())));
  }
  const std::optional<at::Tensor> loaded = on_device(stored, dtype);
  if (!loaded) {
    throw Error(fmt::format("{}: tensor {} holds infinity or values that are not numbers",
                            weights_.file_of(name).string(), name),
                "the file is damaged or was converted wrongly; download it again");
  }
  if (!loaded->is_alias_of(stored)) weights_.let_go(name);
  return *loaded;
}

at::Tensor Loader::laid_out(const at::Tensor& tensor) const {
  if (options_.convolutions == ConvolutionLayout::planar || tensor.dim() < 4) return tensor;
  return tensor.contiguous(tensor.dim() == 4 ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::ChannelsLast3d);
}

void Loader::ignore(std::string_view prefix) {
  for (const std::string& name : weights_.names()) {
    if (name.starts_with(prefix)) used_.insert(name);
  }
}

void Loader::finish() const {
  std::vector<std::string> unused;
  for (const std::string& name : weights_.names()) {
    if (!used_.contains(name)) unused.push_back(name);
  }
  if (unused.empty()) return;
  const std::size_t shown = std::min<std::size_t>(unused.size(), 3);
  const std::vector<std::string> first(unused.begin(), unused.begin() + static_cast<std::ptrdiff_t>(shown));
  throw Error(
      fmt::format("{}: {} tensors are not part of the model that config.json describes: {}{}", weights_.component(),
                  unused.size(), fmt::join(first, ", "), shown < unused.size() ? ", ..." : ""),
      "config.json and the weights may be of different models");
}

Scope Scope::operator/(std::string_view child) const {
  return {*loader_, prefix_.empty() ? std::string(child) : fmt::format("{}.{}", prefix_, child)};
}

Scope Scope::operator/(std::int64_t child) const {
  return *this / std::to_string(child);
}

at::Tensor Scope::tensor(std::string_view name, at::IntArrayRef shape, std::optional<at::ScalarType> dtype) const {
  const std::string full = prefix_.empty() ? std::string(name) : fmt::format("{}.{}", prefix_, name);
  return loader_->take(full, shape, dtype.value_or(loader_->options().dtype));
}

}  // namespace bitreel
