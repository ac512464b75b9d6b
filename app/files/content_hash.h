// The SHA-256 of a file's content, in hexadecimal.
//
//   const std::string hash = content_hash("transformer/diffusion_pytorch_model.safetensors");
//
// Reading large weights takes seconds to minutes, so those of files from 64 MiB on are remembered in the user's cache
// ($XDG_CACHE_HOME/bitreel/hashes, else ~/.cache/bitreel/hashes), one small JSON file for each path, and hold as long
// as path, size, time of change and inode do. Where that folder can't be written nothing is remembered.
// Errors: Error when the file can't be read to its end.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace bitreel {

std::string content_hash(const std::filesystem::path& file);

std::string hash_of_text(std::string_view text);

// Files of at least so many bytes are remembered.
inline constexpr std::uintmax_t remembered_from_bytes = std::uintmax_t{64} << 20;

}  // namespace bitreel
