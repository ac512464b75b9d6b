// Safetensors files with any header, however wrong.
//
//   write_text(folder / "t.safetensors", safetensors_bytes(R"({"a": {"dtype": "F13", ...}})", "data"));
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

namespace bitreel {

// Header length, header, data: as the format has it, unchecked.
inline std::string safetensors_bytes(const std::string& header, const std::string& data,
                                     std::uint64_t claimed_header_size) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &claimed_header_size, 8);
  return bytes + header + data;
}

inline std::string safetensors_bytes(const std::string& header, const std::string& data) {
  return safetensors_bytes(header, data, header.size());
}

}  // namespace bitreel
