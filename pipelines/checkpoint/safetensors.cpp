#include "pipelines/checkpoint/safetensors.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/json_text.h"
#include "base/nearest.h"
#include "base/partial.h"
#include "pipelines/checkpoint/mapped_file.h"

namespace bitreel {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr std::size_t length_bytes = 8;
constexpr std::size_t most_header_bytes = 100'000'000;

struct DtypeName {
  const char* name;
  at::ScalarType type;
};
constexpr std::array dtype_names = {DtypeName{"F64", at::kDouble},
                                    DtypeName{"F32", at::kFloat},
                                    DtypeName{"F16", at::kHalf},
                                    DtypeName{"BF16", at::kBFloat16},
                                    DtypeName{"I64", at::kLong},
                                    DtypeName{"I32", at::kInt},
                                    DtypeName{"I16", at::kShort},
                                    DtypeName{"I8", at::kChar},
                                    DtypeName{"U8", at::kByte},
                                    DtypeName{"BOOL", at::kBool},
                                    DtypeName{"F8_E4M3", at::kFloat8_e4m3fn},
                                    DtypeName{"F8_E5M2", at::kFloat8_e5m2}};

// Every complaint about a file begins with its path.
class Complaint {
 public:
  explicit Complaint(const fs::path& path) : path_(path.string()) {}
  [[noreturn]] void operator()(const std::string& what) const {
    throw Error(fmt::format("{}: {}", path_, what), "the file is damaged or not safetensors; download it again");
  }

 private:
  std::string path_;
};

// A non-negative whole number that fits the file's address arithmetic.
std::size_t offset_from(const json& value, const std::string& name, const Complaint& complain) {
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > (std::uint64_t{1} << 62)) {
    complain(fmt::format("tensor {}: {} is not a valid size or offset", name, value.dump()));
  }
  return value.get<std::uint64_t>();
}

TensorInfo info_from(const std::string& name, const json& entry, std::size_t data_size, const Complaint& complain) {
  if (!entry.is_object() || !entry.contains("dtype") || !entry.contains("shape") || !entry.contains("data_offsets")) {
    complain(fmt::format("tensor {}: the header lacks dtype, shape or data_offsets", name));
  }
  const json& dtype = entry["dtype"];
  const auto known = std::find_if(dtype_names.begin(), dtype_names.end(),
                                  [&](const DtypeName& d) { return dtype.is_string() && dtype == d.name; });
  if (known == dtype_names.end()) complain(fmt::format("tensor {}: unknown dtype {}", name, dtype.dump()));

  TensorInfo info;
  info.dtype = known->type;
  const json& shape = entry["shape"];
  const json& offsets = entry["data_offsets"];
  if (!shape.is_array() || shape.size() > 16)
    complain(fmt::format("tensor {}: shape {} is not a list", name, shape.dump()));
  if (!offsets.is_array() || offsets.size() != 2) complain(fmt::format("tensor {}: data_offsets is not a pair", name));
  std::size_t bytes = c10::elementSize(info.dtype);
  bool empty = false;
  for (const json& side : shape) {
    const std::size_t length = offset_from(side, name, complain);
    empty = empty || length == 0;
    // The sides beside a zero count too: strides are made of them.
    if (__builtin_mul_overflow(bytes, std::max<std::size_t>(length, 1), &bytes) || bytes > std::size_t{1} << 62)
      complain(fmt::format("tensor {}: shape {} overflows", name, shape.dump()));
    info.shape.push_back(static_cast<std::int64_t>(length));
  }
  if (empty) bytes = 0;
  info.begin = offset_from(offsets[0], name, complain);
  info.end = offset_from(offsets[1], name, complain);
  if (info.begin > info.end || info.end - info.begin != bytes) {
    complain(fmt::format("tensor {}: {} of shape {} takes {} bytes, its offsets [{}, {}] say otherwise", name,
                         known->name, shape.dump(), bytes, info.begin, info.end));
  }
  if (info.end > data_size) {
    complain(
        fmt::format("truncated: tensor {} ends at byte {} of the data, the file holds {}", name, info.end, data_size));
  }
  return info;
}

// Tensors cover the data from its first byte to its last, each byte once, as the reference reader insists.
void check_cover(const std::map<std::string, TensorInfo>& tensors, std::size_t data_size, const Complaint& complain) {
  std::vector<const std::pair<const std::string, TensorInfo>*> ordered;
  ordered.reserve(tensors.size());
  for (const auto& entry : tensors) ordered.push_back(&entry);
  std::sort(ordered.begin(), ordered.end(),
            [](const auto* a, const auto* b) { return a->second.begin < b->second.begin; });
  std::size_t reached = 0;
  const std::string* owner = nullptr;
  for (const auto* entry : ordered) {
    const TensorInfo& info = entry->second;
    if (info.begin < reached && info.end > info.begin) {
      complain(fmt::format("tensors {} and {} overlap", *owner, entry->first));
    }
    if (info.begin > reached) {
      complain(fmt::format("bytes {} to {} of the data belong to no tensor", reached, info.begin));
    }
    if (info.end > reached) {
      reached = info.end;
      owner = &entry->first;
    }
  }
  if (reached < data_size) {
    complain(fmt::format("{} bytes follow the last tensor{}{}", data_size - reached, owner == nullptr ? "" : ", ",
                         owner == nullptr ? "" : *owner));
  }
}

std::map<std::string, std::string> metadata_from(const json& header, const Complaint& complain) {
  std::map<std::string, std::string> metadata;
  const auto found = header.find("__metadata__");
  if (found == header.end()) return metadata;
  if (!found->is_object()) complain("__metadata__ is not an object");
  for (const auto& [key, value] : found->items()) {
    if (!value.is_string()) complain(fmt::format("__metadata__.{} is not a string", key));
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

const char* name_of_dtype(at::ScalarType type) {
  const auto* known =
      std::find_if(dtype_names.begin(), dtype_names.end(), [&](const DtypeName& d) { return d.type == type; });
  if (known == dtype_names.end()) throw Error(fmt::format("safetensors can't hold dtype {}", c10::toString(type)));
  return known->name;
}

}  // namespace

SafetensorsFile SafetensorsFile::open(const fs::path& path) {
  const Complaint complain(path);
  SafetensorsFile file;
  file.path_ = path;
  file.mapping_ = std::make_shared<const MappedFile>(path);
  const MappedFile& mapping = *file.mapping_;
  if (mapping.size() < length_bytes) complain(fmt::format("truncated: {} bytes, expected at least 8", mapping.size()));
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, mapping.data(), length_bytes);
  if (header_size > most_header_bytes) {
    complain(fmt::format("the header claims {} bytes, expected at most {}", header_size, most_header_bytes));
  }
  if (header_size > mapping.size() - length_bytes) {
    complain(fmt::format("truncated: the header claims {} bytes, the file holds {}", header_size, mapping.size()));
  }
  const auto* text = reinterpret_cast<const char*>(mapping.data()) + length_bytes;
  const json header = parse_json_if_any({text, header_size});
  if (!header.is_object()) complain("the header is not a JSON object");
  file.data_begin_ = length_bytes + header_size;
  const std::size_t data_size = mapping.size() - file.data_begin_;
  for (const auto& [name, entry] : header.items()) {
    if (name != "__metadata__") file.tensors_.emplace(name, info_from(name, entry, data_size, complain));
  }
  check_cover(file.tensors_, data_size, complain);
  file.metadata_ = metadata_from(header, complain);
  return file;
}

at::Tensor SafetensorsFile::tensor(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    std::vector<std::string> known;
    for (const auto& entry : tensors_) known.push_back(entry.first);
    const std::string close = nearest(name, known);
    throw Error(fmt::format("{}: no tensor {}", path_.string(), name),
                close.empty() ? "" : fmt::format("the nearest name in the file is {}", close));
  }
  const TensorInfo& info = found->second;
  const auto options = at::TensorOptions(info.dtype);
  auto* bytes = const_cast<std::byte*>(mapping_->data()) + data_begin_ + info.begin;
  // The format does not promise alignment; a kernel that loads whole elements needs it.
  const bool aligned = reinterpret_cast<std::uintptr_t>(bytes) % c10::elementSize(info.dtype) == 0;
  if (!aligned && info.begin != info.end) {
    at::Tensor copy = at::empty(info.shape, options);
    std::memcpy(copy.data_ptr(), bytes, info.end - info.begin);
    let_go(name);
    return copy;
  }
  return at::from_blob(
      bytes, info.shape, [mapping = mapping_](void*) {}, options);
}

void SafetensorsFile::let_go(const std::string& name) const {
  const TensorInfo& info = tensors_.at(name);
  mapping_->let_go(mapping_->data() + data_begin_ + info.begin, info.end - info.begin);
}

void write_safetensors(const fs::path& path, const std::map<std::string, at::Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  json header = json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::vector<at::Tensor> stored;
  std::size_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    stored.push_back(tensor.detach().to(at::kCPU).contiguous());
    const std::size_t end = offset + stored.back().nbytes();
    header[name] = {{"dtype", name_of_dtype(tensor.scalar_type())},
                    {"shape", tensor.sizes().vec()},
                    {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump(-1, ' ', false, json::error_handler_t::replace);
  text.append((8 - text.size() % 8) % 8, ' ');
  const std::uint64_t header_size = text.size();
  text.insert(0, reinterpret_cast<const char*>(&header_size), length_bytes);

  std::vector<std::string_view> parts = {text};
  for (const at::Tensor& tensor : stored) {
    parts.emplace_back(static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes());
  }
  const Partial partial(path);
  write_file(partial.path(), parts, path.string());
  partial.publish();
}

}  // namespace bitreel
