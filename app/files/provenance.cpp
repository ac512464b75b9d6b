#include "app/files/provenance.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <torch/headeronly/version.h>

#include <array>
#include <cstring>
#include <fstream>
#include <memory>
#include <vector>

#include "base/error.h"
#include "bitreel/version.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t whole_file_limit_bytes = 256ULL << 20;
constexpr std::size_t chunk_bytes = 1U << 20;

// SHA-256 of the file's first `bytes` bytes, in hexadecimal.
std::string sha256(std::istream& stream, std::uintmax_t bytes, const fs::path& file) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr);
  std::vector<char> chunk(chunk_bytes);
  stream.seekg(0);
  while (bytes > 0) {
    const auto part = static_cast<std::streamsize>(std::min<std::uintmax_t>(bytes, chunk.size()));
    if (!stream.read(chunk.data(), part)) throw Error(fmt::format("{}: cannot be read to its end", file.string()));
    EVP_DigestUpdate(context.get(), chunk.data(), static_cast<std::size_t>(part));
    bytes -= static_cast<std::uintmax_t>(part);
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  EVP_DigestFinal_ex(context.get(), digest.data(), &length);
  std::string text;
  for (unsigned int i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

std::uint64_t header_bytes(std::ifstream& stream) {
  std::array<char, 8> prefix{};
  stream.read(prefix.data(), prefix.size());
  std::uint64_t length = 0;
  std::memcpy(&length, prefix.data(), prefix.size());  // little-endian, as every machine LibTorch runs on
  return length + prefix.size();
}

}  // namespace

nlohmann::json identity_of(const fs::path& file) {
  const std::uintmax_t size = fs::file_size(file);
  std::ifstream stream(file, std::ios::binary);
  if (size <= whole_file_limit_bytes) return {{"bytes", size}, {"sha256", sha256(stream, size, file)}};
  return {{"bytes", size}, {"sha256_of_header", sha256(stream, header_bytes(stream), file)}};
}

std::string denoiser_hash(const Pipeline& model) {
  std::ostringstream all;
  const Weights weights = model.checkpoint().weights(model.traits().denoiser);
  for (const fs::path& file : weights.files()) {
    const nlohmann::json identity = identity_of(file);
    for (const char* kind : {"sha256", "sha256_of_header"}) all << identity.value(kind, "");
  }
  constexpr std::size_t one_hash = 64;
  if (all.view().size() == one_hash) return all.str();
  std::istringstream joined(all.str());
  return sha256(joined, all.view().size(), model.checkpoint().folder());
}

nlohmann::json provenance(const Render& render, const nlohmann::ordered_json& attention) {
  const Checkpoint& checkpoint = render.model->checkpoint();
  nlohmann::json files = nlohmann::json::object();
  for (const Component& component : render.model->traits().components) {
    if (!component.weights) continue;
    const Weights weights = checkpoint.weights(component.name);
    for (const fs::path& file : weights.files()) {
      files[fmt::format("{}/{}", component.name, file.filename().string())] = identity_of(file);
    }
  }
  nlohmann::json config = to_json(render.options);
  for (const std::string& key : render.unknown) config.erase(key);
  return {{"bitreel", version},
          {"libtorch", TORCH_VERSION},
          {"config", std::move(config)},
          {"attention", attention},
          {"model", {{"class", checkpoint.pipeline_class()}, {"files", files}}}};
}

}  // namespace bitreel
