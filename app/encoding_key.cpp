#include "app/encoding_key.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "app/files/content_hash.h"

namespace bitreel {

std::string encoding_key(const Request& request) {
  std::string picture;
  if (const auto& seen = request.picture) {
    const std::string_view bytes(reinterpret_cast<const char*>(seen->rgb.data()), seen->rgb.size());
    picture = fmt::format("{}x{} {}", seen->width, seen->height, hash_of_text(bytes));
  }
  return nlohmann::json(
             {request.mode, request.prompt, request.negative_prompt, request.guidance_scale > 1, std::move(picture)})
      .dump();
}

}  // namespace bitreel
