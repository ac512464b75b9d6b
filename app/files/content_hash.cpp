#include "app/files/content_hash.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/stat.h>

#include <array>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/input_file.h"
#include "base/json_text.h"
#include "base/written_file.h"

namespace bitreel {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t chunk_bytes = 1U << 20;

class Sha256 {
 public:
  Sha256() { EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr); }
  void add(std::string_view bytes) { EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()); }
  std::string text() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int length = 0;
    EVP_DigestFinal_ex(context_.get(), digest.data(), &length);
    std::string hexadecimal;
    for (unsigned int i = 0; i < length; ++i) hexadecimal += fmt::format("{:02x}", digest[i]);
    return hexadecimal;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_{EVP_MD_CTX_new(), EVP_MD_CTX_free};
};

std::string hash_of_bytes(const fs::path& file, std::uintmax_t bytes) {
  std::ifstream stream(file, std::ios::binary);
  Sha256 hash;
  std::vector<char> chunk(chunk_bytes);
  while (bytes > 0) {
    const auto part = static_cast<std::streamsize>(std::min<std::uintmax_t>(bytes, chunk.size()));
    if (!stream.read(chunk.data(), part)) throw Error(fmt::format("{}: cannot be read to its end", file.string()));
    hash.add({chunk.data(), static_cast<std::size_t>(part)});
    bytes -= static_cast<std::uintmax_t>(part);
  }
  return hash.text();
}

// Everything that has to be as it was for a remembered hash to hold.
struct Fingerprint {
  std::string path;
  std::int64_t bytes = 0, changed_ns = 0, inode = 0;

  static Fingerprint of(const fs::path& file) {
    struct stat info {};
    if (stat(file.c_str(), &info) != 0) throw Error(fmt::format("{}: cannot be read", file.string()));
    return {.path = fs::absolute(file).string(),
            .bytes = info.st_size,
            .changed_ns = std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec,
            .inode = static_cast<std::int64_t>(info.st_ino)};
  }
  [[nodiscard]] nlohmann::json json() const {
    return {{"path", path}, {"bytes", bytes}, {"changed_ns", changed_ns}, {"inode", inode}};
  }
  // Another change may fall into the same tick of the file system's clock.
  [[nodiscard]] bool just_changed() const { return std::int64_t{std::time(nullptr)} - changed_ns / 1'000'000'000 < 2; }
};

std::optional<fs::path> memory_of(const Fingerprint& file) {
  const char* const cache = std::getenv("XDG_CACHE_HOME");
  const char* const home = std::getenv("HOME");
  fs::path folder;
  if (cache != nullptr && fs::path(cache).is_absolute()) {
    folder = cache;
  } else if (home != nullptr && fs::path(home).is_absolute()) {
    folder = fs::path(home) / ".cache";
  } else {
    return std::nullopt;
  }
  return folder / "bitreel" / "hashes" / (hash_of_text(file.path) + ".json");
}

std::optional<std::string> recalled(const fs::path& memory, const Fingerprint& file) {
  std::string text;
  if (!read_into(text, memory, {}).empty()) return std::nullopt;
  const auto json = parse_json_if_any(text);
  if (!json.is_object() || !json.contains("sha256") || !json["sha256"].is_string()) return std::nullopt;
  if (json.value("file", nlohmann::json()) != file.json()) return std::nullopt;
  return json["sha256"].get<std::string>();
}

void remember(const fs::path& memory, const Fingerprint& file, const std::string& hash) {
  std::error_code ignored;
  fs::create_directories(memory.parent_path(), ignored);
  try {
    write_whole(memory, nlohmann::json{{"file", file.json()}, {"sha256", hash}}.dump() + "\n");
  } catch (const Error&) {
    // The next run reads the file again: slower, and nothing else.
  }
}

}  // namespace

std::string hash_of_text(std::string_view text) {
  Sha256 hash;
  hash.add(text);
  return hash.text();
}

std::string content_hash(const fs::path& file) {
  const Fingerprint before = Fingerprint::of(file);
  const auto bytes = static_cast<std::uintmax_t>(before.bytes);
  const std::optional<fs::path> memory = bytes < remembered_from_bytes ? std::nullopt : memory_of(before);
  if (memory) {
    if (const std::optional<std::string> hash = recalled(*memory, before)) return *hash;
  }
  std::string hash = hash_of_bytes(file, bytes);
  if (memory && !before.just_changed() && Fingerprint::of(file).json() == before.json())
    remember(*memory, before, hash);
  return hash;
}

}  // namespace bitreel
