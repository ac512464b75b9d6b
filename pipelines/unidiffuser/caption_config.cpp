#include "pipelines/unidiffuser/caption_config.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_fields.h"

namespace bitreel {

CaptionConfig read_caption_config(const nlohmann::json& json) {
  const std::string file = "text_decoder/config.json";
  const JsonFields fields(json, file);
  CaptionConfig config;
  config.prefix_length = fields.integer("prefix_length", config.prefix_length, {1, 65536});
  config.prefix_inner_dim = fields.integer("prefix_inner_dim", config.prefix_inner_dim, {1, 65536});
  config.prefix_hidden_dim = fields.optional_integer("prefix_hidden_dim", {1, 65536});
  config.vocab_size = fields.integer("vocab_size", config.vocab_size, {2, 1 << 24});
  config.n_positions = fields.integer("n_positions", config.n_positions, {1, 1 << 20});
  config.n_embd = fields.integer("n_embd", config.n_embd, {1, 65536});
  config.n_layer = fields.integer("n_layer", config.n_layer, {1, 512});
  config.n_head = fields.integer("n_head", config.n_head, {1, 1024});
  config.n_inner = fields.integer("n_inner", 4 * config.n_embd, {1, 1 << 18});
  config.activation = read_activation(fields, "activation_function", "gelu_new");
  config.layer_norm_epsilon = fields.real("layer_norm_epsilon", config.layer_norm_epsilon, {0, 1});
  config.scale_attn_weights = fields.boolean("scale_attn_weights", config.scale_attn_weights);
  config.scale_attn_by_inverse_layer_idx =
      fields.boolean("scale_attn_by_inverse_layer_idx", config.scale_attn_by_inverse_layer_idx);
  if (config.n_embd % config.n_head != 0) {
    throw Error(fmt::format("{}: n_embd is {}, expected a multiple of n_head {}", file, config.n_embd, config.n_head));
  }
  if (!config.prefix_hidden_dim && config.prefix_inner_dim != config.n_embd) {
    throw Error(fmt::format("{}: prefix_hidden_dim is null, expected prefix_inner_dim {} to be n_embd {} then", file,
                            config.prefix_inner_dim, config.n_embd));
  }
  return config;
}

}  // namespace bitreel
