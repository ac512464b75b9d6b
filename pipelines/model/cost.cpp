#include "pipelines/model/cost.h"

#include <fmt/format.h>

namespace bitreel {

std::string tokens_text(const Cost& cost) {
  std::string text;
  for (const TokenCount& tokens : cost.tokens)
    text += fmt::format("{}{} {}", text.empty() ? "" : " + ", tokens.count, tokens.of);
  return text + " tokens";
}

}  // namespace bitreel
